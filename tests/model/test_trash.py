"""Records of what is in the trash."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was_daemon.model.digests import Digest
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import MAX_NAME_BYTES, AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.model.trash import MAX_NOTE, MAX_RECORD_BYTES, Known, Reason, TrashedVersion, TrashId, prefix_of

NAME = "ä" * 127
VERSION = TrashedVersion(
    TrashId.new(NAME, 1_790_000_000.25, 5),
    AssetKey("Fish/Types", Kind.ORIGINAL, NAME),
    Reason.DELETED,
    AssetStat(5, 1_700_000_000.5, "abc-5"),
    Known(Digest(5, "0" * 64, "1" * 32), Origin("Käfer.jpg", "192.0.2.7", "/photos/1.tif", "on a leaf", "2" * 32)),
    "192.0.2.8",
    "no record in Specify",
)


def test_a_record_is_read_as_it_was_written() -> None:
    assert TrashedVersion.parse(VERSION.encoded(), VERSION.record) == VERSION


def test_a_name_in_the_trash_tells_time_and_size() -> None:
    assert TrashId.of_file(VERSION.file) == TrashId.of_record(VERSION.record) == VERSION.id
    assert (VERSION.id.at, VERSION.id.size) == (1_790_000_000.25, 5)
    assert VERSION.id.text.startswith(prefix_of(NAME))
    assert TrashId.of_file(VERSION.record) is TrashId.of_record(VERSION.file) is None


def test_two_versions_of_one_moment_have_two_names() -> None:
    assert TrashId.new("a", 1.0, 1) != TrashId.new("a", 1.0, 1)


@given(st.text(min_size=1, max_size=MAX_NAME_BYTES), st.floats(0, 4e9), st.integers(0, 1 << 60))
def test_every_identifier_is_a_short_safe_name(name: str, at: float, size: int) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    found = TrashId.new(name, at, size)
    assert TrashId.parse(found.text) == found
    assert len(AssetKey("", Kind.TRASH, found.text + ".json").name) < 100


def test_the_longest_record_can_be_read() -> None:
    longest = TrashedVersion(
        VERSION.id,
        VERSION.key,
        Reason.QUARANTINED,
        VERSION.version,
        Known(None, Origin("\U0001f600" * 255, "f" * 45, "\U0001f600" * 2000, "\U0001f600" * 8192, "2" * 32)),
        None,
        "\0" * MAX_NOTE,
    )
    assert len(longest.encoded()) < MAX_RECORD_BYTES
    assert TrashedVersion.parse(longest.encoded(), longest.record) == longest


def test_a_record_of_an_earlier_version_is_read() -> None:
    document = VERSION.document()
    for name in ("file_path", "notes", "file_md5"):
        del document[name]
    found = TrashedVersion.parse(json.dumps(document).encode(), VERSION.record)
    assert found and found.known.origin == Origin("Käfer.jpg", "192.0.2.7")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"id": TrashId.new(NAME, 1.0, 5).text},
        {"collection": "Birds"},
        {"name": "../a.jpg"},
        {"name": 5},
        {"reason": "eaten"},
        {"size": "many"},
        {"size": float("inf")},
        {"etag": None},
        {"sha256": 5},
        {"notes": 5},
    ],
)
def test_what_no_daemon_has_written_is_no_record(changes: dict[str, object]) -> None:
    document = {**VERSION.document(), **changes}
    assert TrashedVersion.parse(json.dumps(document).encode(), VERSION.record) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"5", b"null", b"\xff", b'{"format": 1}', b"[" * 100_000])
def test_what_is_no_document_is_no_record(content: bytes) -> None:
    assert TrashedVersion.parse(content, VERSION.record) is None
