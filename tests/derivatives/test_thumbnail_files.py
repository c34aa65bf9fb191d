"""Thumbnails on a disk go with their original, and files that only look like them stay."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage_plugins.filesystem import FilesystemStore
from was_daemon.derivatives.thumbnail_files import remove_files
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import Layout
from was_daemon.model.marks import mark_of
from was_daemon.testing.contract import original

NOBODY = 65534


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory that every user may write to."""
    base = Path(tempfile.mkdtemp())
    (base / "thumbnails").mkdir()
    for directory in (base, base / "thumbnails"):
        directory.chmod(0o777)
    yield base
    shutil.rmtree(base)


def test_without_an_original_only_marked_files_go(base: Path) -> None:
    (base / "thumbnails" / "IMG_50.jpg").write_bytes(b"somebody's")
    (base / "thumbnails" / "IMG_60.jpg").write_bytes(b"picture" + mark_of(AssetStat(1, 1.0, "any")))
    remove_files(FilesystemStore(base, Layout.FLAT), original("IMG.jpg"), range(1, 100), only_marked=True)
    assert [path.name for path in (base / "thumbnails").iterdir()] == ["IMG_50.jpg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("name", "theirs"), [("IMG.jpg", "IMG_50.jpg"), ("SC.tif", "SC_50.png")])
def test_a_file_that_may_not_be_read_is_not_the_daemons(base: Path, name: str, theirs: str) -> None:
    path = base / "thumbnails" / theirs
    path.write_bytes(b"somebody's")
    path.chmod(0o600)
    os.seteuid(NOBODY)
    try:
        remove_files(FilesystemStore(base, Layout.FLAT), original(name), range(1, 100), only_marked=True)
    finally:
        os.seteuid(0)
    assert path.read_bytes() == b"somebody's"
