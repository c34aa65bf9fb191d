"""Whether the daemon may write to the directories that uploads and thumbnails need. Everything here blocks."""

import os
from pathlib import Path

from was_daemon.library.collections import Collections
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, ILocalFiles
from was_daemon.model.keys import Kind

_STAGING = ".staging"
_IN_SPOOL = (_STAGING, "copies", "instances", "quotas")
"""Beginnings of the names of the daemon's directories in the spool. Commands have others there."""

_NEEDED_BY = {Kind.ORIGINAL: "uploads", Kind.THUMBNAIL: "thumbnails"}


class UnusableDirectory(StoreUnavailable):
    """A directory that the daemon may not write to, or that is none; `path` is for operators only."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


def check_directories(store: IAssetStore, collections: Collections) -> None:
    """Raise `UnusableDirectory` if uploads to, or thumbnails in, a collection in `store` would fail.

    Looks at permissions, and writes nothing. Does not look at the shards of the sharded layout, which may be thousands.
    """
    files = ILocalFiles(store)
    _check(files.root, "uploads")
    for directory in collections.directories(store):
        place = collections.place_in(directory)
        for kind, home in ((Kind.ORIGINAL, place.store), (Kind.THUMBNAIL, place.thumbnails)):
            if home is store:
                _check(_nearest(files.root / directory / kind.value, files.root), _NEEDED_BY[kind])


def check_spool(root: Path) -> None:
    """Raise `UnusableDirectory` for a directory of the daemon in the spool `root` that it may not write to."""
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith(_IN_SPOOL) and entry.is_dir(follow_symlinks=False):
                _check_writable(root / entry.name, "copies and uploads")


def _nearest(base: Path, root: Path) -> Path:
    """Return `base`, or the directory above it in which it is to be made."""
    while base != root and not os.path.lexists(base):
        base = base.parent
    return base


def _check(path: Path, needed_by: str) -> None:
    _check_writable(path, needed_by)
    if os.path.lexists(path / _STAGING):
        if (path / _STAGING).is_symlink():
            raise UnusableDirectory(f"a link is in the place of a directory for {needed_by}", path / _STAGING)
        _check_writable(path / _STAGING, needed_by)


def _check_writable(path: Path, needed_by: str) -> None:
    if not path.is_dir():
        raise UnusableDirectory(f"a file or a broken link is in the place of a directory for {needed_by}", path)
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise UnusableDirectory(f"a directory for {needed_by} cannot be written to by this user", path)
