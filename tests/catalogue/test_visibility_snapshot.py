"""The file in which it is saved what is private."""

from array import array
from pathlib import Path

import pytest

from was_daemon.catalogue.visibility_snapshot import SavedVisibility, VisibilitySnapshot
from was_daemon.library.visibility import KEY_BYTES, Entries

KEY = bytes(range(KEY_BYTES))
ENTRIES = Entries(array("Q", [2, 5, 1 << 61]), 1)


def read(path: Path) -> SavedVisibility | None:
    """What a daemon finds that starts now."""
    return VisibilitySnapshot(path).read()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "was.visibility"


@pytest.fixture
def snapshot(path: Path) -> VisibilitySnapshot:
    """One that was written, and to which a change was added."""
    snapshot = VisibilitySnapshot(path)
    snapshot.write(KEY, ENTRIES)
    assert snapshot.add({1: None})
    return snapshot


def test_what_was_saved_is_read_again(path: Path, snapshot: VisibilitySnapshot) -> None:
    assert snapshot.add({2: True, 1: False})
    assert read(path) == SavedVisibility(KEY, ENTRIES, {1: False, 2: True})


def test_only_the_owner_can_read_it_and_nothing_is_left_beside_it(path: Path, snapshot: VisibilitySnapshot) -> None:
    path.with_name(f"{path.name}.new").write_bytes(b"left by a killed process")
    path.with_name(f"{path.name}.new").chmod(0o666)
    snapshot.write(KEY, ENTRIES)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_change_that_was_not_written_whole_is_not_read(path: Path, snapshot: VisibilitySnapshot) -> None:
    content = path.read_bytes()
    for rest in (content[:-1], content + bytes(15), content + bytes(16)):
        path.write_bytes(rest)
        changes = {} if len(rest) < len(content) else {1: None}
        assert read(path) == SavedVisibility(KEY, ENTRIES, changes)


def test_a_damaged_or_foreign_file_says_nothing(path: Path, snapshot: VisibilitySnapshot) -> None:
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[70] ^= 1
    huge = content[:29] + b"\xff" * 8 + content[37:]
    for text in (b"", content[:20], content[:60], bytes(damaged), huge, b"SQLite format 3\0" + bytes(100)):
        path.write_bytes(text)
        assert read(path) is None
    path.unlink()
    assert read(path) is None


def test_changes_are_added_only_to_the_file_that_was_written_or_read(path: Path, snapshot: VisibilitySnapshot) -> None:
    later = VisibilitySnapshot(path)
    assert not later.add({3: True})
    later.read()
    assert later.add({3: True})
    VisibilitySnapshot(path).write(bytes(KEY_BYTES), Entries())
    assert not later.add({4: True})
    path.unlink()
    assert not later.add({4: True})
