"""Health checks of the directories that uploads and thumbnails need."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage_plugins.filesystem import FilesystemStore
from was_daemon.health.directories import UnusableDirectory, check_database, check_directories, check_spool
from was_daemon.library.collections import Collections, Place
from was_daemon.model.keys import Layout

NOBODY = 65534


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that every user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="was-test-"))
    yield directory
    shutil.rmtree(directory)


@contextmanager
def another_user(root: Path) -> Iterator[None]:
    """Be a user to whom all that is not root's belongs; the tests' own user if that is not root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def forbid(path: Path) -> None:
    """Make `path` a directory that somebody has forgotten to give to the daemon's user."""
    path.chmod(0o500)
    os.chown(path, os.geteuid(), os.getegid())


def forbid_file(path: Path) -> None:
    """Make `path` a file that the daemon's user may only read."""
    path.touch()
    path.chmod(0o444)


def make(root: Path, *directories: str) -> None:
    for each in ("", *directories):
        (root / each).mkdir(parents=True, exist_ok=True)
        for path in (root / each, *(parent for parent in (root / each).parents if parent.is_relative_to(root))):
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
            path.chmod(0o700)


def look(root: Path, thumbnails: Path | None = None, auto: bool = False) -> None:
    """Check the store in `root` as the daemon's user."""
    store = FilesystemStore(root, Layout.FLAT)
    place = Place("", store, FilesystemStore(thumbnails, Layout.FLAT) if thumbnails else store)
    named = None if auto else {"Fish": Place("fish", place.store, place.thumbnails)}
    with another_user(root):
        check_directories(store, Collections(place, named, auto=auto))


def test_directories_of_the_daemons_user_are_well(root: Path) -> None:
    make(root)
    look(root)
    make(root, ".staging", "fish/originals/.staging", "fish/thumbnails/.staging", "fish/thumbnails")
    look(root)


@pytest.mark.parametrize(
    ("path", "need"),
    [
        (".staging", "uploads"),
        ("fish/originals", "uploads"),
        ("fish/originals/.staging", "uploads"),
        ("fish/thumbnails", "thumbnails"),
        ("fish/thumbnails/.staging", "thumbnails"),
        ("fish/.pyramids", "deep zoom"),
        ("fish/.pyramids/.staging", "deep zoom"),
        ("fish/.trash", "the trash"),
        ("fish/.trash/.staging", "the trash"),
        (".daemons", "running daemons"),
    ],
)
@pytest.mark.parametrize("auto", [False, True])
def test_a_directory_that_the_daemons_user_may_not_write_to_is_named(
    root: Path, path: str, need: str, auto: bool
) -> None:
    make(root, "fish/originals", "fish/thumbnails", path)
    forbid(root / path)
    with pytest.raises(UnusableDirectory, match=need) as caught:
        look(root, auto=auto)
    assert caught.value.path == root / path
    assert str(root) not in str(caught.value)


def test_a_collection_in_which_originals_cannot_be_made_is_named(root: Path) -> None:
    make(root, "fish")
    forbid(root / "fish")
    with pytest.raises(UnusableDirectory) as caught:
        look(root)
    assert caught.value.path == root / "fish"


@pytest.mark.parametrize("path", [".staging", ".daemons", "fish/originals/.staging", "fish/thumbnails/.staging"])
def test_a_link_in_the_place_of_a_staging_directory_is_named(root: Path, path: str) -> None:
    make(root, "fish/originals", "fish/thumbnails", "elsewhere")
    (root / path).symlink_to(root / "elsewhere", target_is_directory=True)
    with pytest.raises(UnusableDirectory, match="link") as caught:
        look(root)
    assert caught.value.path == root / path


def test_a_directory_that_can_be_written_to_and_not_read_is_named(root: Path) -> None:
    make(root, "fish/originals")
    (root / "fish/originals").chmod(0o300)
    with pytest.raises(UnusableDirectory) as caught:
        look(root)
    assert caught.value.path == root / "fish/originals"


def test_a_broken_link_to_another_disk_is_named(root: Path) -> None:
    make(root, "fish")
    (root / "fish/originals").symlink_to(root / "not mounted")
    with pytest.raises(UnusableDirectory) as caught:
        look(root)
    assert caught.value.path == root / "fish/originals"


def test_thumbnails_that_the_official_server_left_beside_the_originals_are_not_needed(root: Path) -> None:
    make(root / "store", "fish/originals", "fish/thumbnails")
    make(root / "thumbnails")
    make(root)
    forbid(root / "store/fish/thumbnails")
    look(root / "store", thumbnails=root / "thumbnails")


def test_a_directory_of_the_spool_that_root_has_made_is_named(root: Path) -> None:
    make(root, "copies", "copies-2")
    # The journal of `copy`.
    forbid_file(root / "copies.sqlite")
    with another_user(root):
        check_spool(root)
    forbid(root / "copies")
    with pytest.raises(UnusableDirectory) as caught, another_user(root):
        check_spool(root)
    assert caught.value.path == root / "copies"


@pytest.mark.parametrize("path", ["instances/store", "quotas"])
def test_what_is_in_a_directory_of_the_spool_is_looked_at_too(root: Path, path: str) -> None:
    make(root, "instances/store", "quotas")
    with another_user(root):
        check_spool(root)
    forbid(root / path)
    with pytest.raises(UnusableDirectory) as caught, another_user(root):
        check_spool(root)
    assert caught.value.path == root / path


def test_a_record_of_quotas_that_root_has_made_is_named(root: Path) -> None:
    make(root, "quotas")
    forbid_file(root / "quotas/quotas.sqlite-wal")
    with pytest.raises(UnusableDirectory, match="quotas") as caught, another_user(root):
        check_spool(root)
    assert caught.value.path == root / "quotas/quotas.sqlite-wal"


def test_a_spool_that_is_not_there_yet_is_well(root: Path) -> None:
    check_spool(root / "none")


@pytest.mark.parametrize("path", ["sums.sqlite", "sums.sqlite-wal", "sums.sqlite-shm"])
def test_a_file_of_a_database_that_root_has_made_is_named(root: Path, path: str) -> None:
    make(root)
    with another_user(root):
        assert not check_database(root / "sums.sqlite", "checksums")
        assert not check_database(root / "new" / "sums.sqlite", "checksums")
    forbid_file(root / path)
    with pytest.raises(UnusableDirectory, match="checksums") as caught, another_user(root):
        check_database(root / "sums.sqlite", "checksums")
    assert caught.value.path == root / path


def test_a_database_whose_directory_cannot_be_written_to_is_named(root: Path) -> None:
    make(root, "state")
    forbid(root / "state")
    (root / "link.sqlite").symlink_to(root / "state/sums.sqlite")
    for path in ("state/sums.sqlite", "state/below/sums.sqlite", "link.sqlite"):
        with pytest.raises(UnusableDirectory) as caught, another_user(root):
            check_database(root / path, "checksums")
        assert caught.value.path == root / "state"


def test_a_directory_in_the_place_of_a_database_is_named(root: Path) -> None:
    make(root, "sums.sqlite")
    with pytest.raises(UnusableDirectory) as caught, another_user(root):
        check_database(root / "sums.sqlite", "checksums")
    assert caught.value.path == root / "sums.sqlite"
