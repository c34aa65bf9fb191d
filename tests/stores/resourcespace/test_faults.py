"""Whatever ResourceSpace answers, the operator is told what to change, and no secret is told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.logger import LogEvent, globalLogPublisher

from storage_plugins.resourcespace import ResourceSpaceStore
from tests.stores.resourcespace.conftest import MakeStore
from tests.support.resourcespace import FakeResourceSpace, key_of
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.keys import Kind
from was_daemon.stores.resourcespace.options import ResourceSpaceOptions
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, collect, read_asset

KEY = original("a.jpg")
FIND = "do_search"


async def refusal(store: ResourceSpaceStore) -> str:
    """What a check tells the operator."""
    with pytest.raises(StoreUnavailable) as caught:
        await store.check()
    message = str(caught.value)
    assert "\n" not in message
    assert key_of("specify") not in message
    return message


@pytest_twisted.ensureDeferred
async def test_a_wrong_key_or_user_is_said_to_be(dam: FakeResourceSpace, make_store: MakeStore, tmp_path: Path) -> None:
    wrong = SecretFile(tmp_path / "wrong")
    wrong.write_text("0" * 64)
    assert "compare user and key_file" in await refusal(make_store(dam.url, key_file=wrong))
    assert "compare user and key_file" in await refusal(make_store(dam.url, user="nobody"))
    assert "cannot be read" in await refusal(make_store(dam.url, key_file=SecretFile(tmp_path / "none")))


@pytest_twisted.ensureDeferred
async def test_a_wrong_address_is_said_to_be(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    assert "without /api" in await refusal(make_store(f"{dam.url}/api"))


@pytest.mark.parametrize(
    ("function", "result", "told"),
    [
        ("create_resource", False, "permissions c and e0"),
        ("create_resource", "FAILED: no", "permissions c and e0"),
        ("update_field", False, "did not change the field originalfilename"),
        ("add_resource_to_collection", "no", "did not add the resource to its collection 12"),
        ("get_users", [], "number of its user specify"),
        ("do_search", {"total": 0, "data": []}, "not found by a search"),
        ("get_resource_path", "", "does not let the daemon's user download"),
        ("get_resource_path", "http://169.254.169.254/latest", "$baseurl"),
        ("get_resource_path", "file:///etc/passwd", "$baseurl"),
        ("do_search", {"status": "fail", "data": {"message": "<b>Not\nnow</b>"}}, "refused do_search: Not now"),
        ("do_search", {"status": "fail", "data": None}, "no reason is told"),
        ("do_search", [{"ref": 1}, 0, 0], "tells no pages"),
        ("do_search", {"data": [{"ref": "x", "archive": 0}]}, "lacks invalid literal"),
        ("do_search", {"data": [3]}, "no object"),
        ("get_resource_field_data", {"a": 1}, "no list"),
        ("get_resource_field_data", [{"name": "title"}], "lacks"),
        ("get_resource_data", False, "damaged|holds another file"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_a_call_answers_is_explained(
    dam: FakeResourceSpace, make_store: MakeStore, function: str, result: object, told: str
) -> None:
    dam.joined = []
    dam.answers[function] = lambda _arguments: result
    message = await refusal(make_store(dam.url, collection=12))
    assert any(each in message for each in told.split("|")), message


@pytest.mark.parametrize(
    "body", [b"<html>Setup</html>", b"Warning: foo\n[]", b"", b"[" * 100_000, b"\xff", b"null", b"3"]
)
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_no_json_or_no_result_is_an_error(
    dam: FakeResourceSpace, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(json, "dumps", lambda _result: body.decode("latin-1") if body == b"\xff" else body.decode())
    store = make_store(dam.url)
    for call in (lambda: store.stat(KEY), lambda: collect(store.list("", Kind.ORIGINAL))):
        with pytest.raises((StoreFailed, StoreUnavailable)):
            await call()


@pytest_twisted.ensureDeferred
async def test_the_reason_for_a_refused_file_is_told(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    dam.wants_content = True
    store = make_store(dam.url)
    with pytest.raises(StoreUnavailable, match="what its extension says: An error occurred while uploading the file"):
        await store.write(KEY, chunked(b"no picture"))
    with pytest.raises(StoreUnavailable, match="no empty files"):
        await store.write(original("empty.txt"), chunked(b""))
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)
    assert dam.resources == {}


@pytest_twisted.ensureDeferred
async def test_a_page_instead_of_a_file_is_no_file(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url)
    await store.write(KEY, chunked(b"bytes"))
    page = f"{dam.url}/pages/download.php?ref=1&size=&access_key=wrong"
    dam.answers["get_resource_path"] = lambda _arguments: page
    with pytest.raises(StoreUnavailable, match="a page instead of the file"):
        await read_asset(store, KEY)


@pytest_twisted.ensureDeferred
async def test_the_key_and_signatures_are_in_no_log(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        store = make_store(dam.url)
        await store.write(KEY, chunked(b"bytes"))
        dam.stop()
        with pytest.raises(StoreUnavailable):
            await store.stat(KEY)
    finally:
        globalLogPublisher.removeObserver(events.append)
    logged = repr(events) + repr(store) + str(store)
    assert events
    assert key_of("specify") not in logged
    assert "sign=" not in logged


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("archive", 3, "archive must be one of states"),
        ("timezone", "Mars/Base", "name of a time zone"),
        ("name_field", "Original filename", "short name"),
        ("adopt_writable", True, "goes with adopt_field"),
        ("allow_http", False, "allow_http"),
        ("url", "ftp://a/", "http or https"),
        ("collection", 0, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    make_options: Callable[..., ResourceSpaceOptions], setting: str, value: object, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        make_options(**{setting: value})


@pytest.fixture
def make_options(tmp_path: Path) -> Callable[..., ResourceSpaceOptions]:
    """Makes options that differ from good ones in what is given."""

    def make(**changes: object) -> ResourceSpaceOptions:
        good = {"url": "http://a/", "user": "specify", "key_file": SecretFile(tmp_path / "key"), "allow_http": True}
        return ResourceSpaceOptions(**(good | changes))

    return make
