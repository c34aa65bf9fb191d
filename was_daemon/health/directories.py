"""Whether the daemon may write to the directories that it needs. Everything here blocks.

An upload writes to the staging directory of the store or the collection, to `originals`, and to the databases of
checksums and quotas. A delete writes to the same. A thumbnail or a zoom pyramid writes to its own directory of the
collection, with a staging directory. All but the stores' directories are in the spool, or on a path of its own.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from was_daemon.library.collections import Collections
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, ILocalFiles
from was_daemon.model.keys import Kind

_STAGING = ".staging"
_PRESENCE = ".daemons"
_IN_SPOOL = re.compile(r"\.staging|copies(-[0-9]+)?|instances|quotas")
"""Names of the daemon's directories in the spool. Commands have others there."""

_MAY_BE_LINKS = ("instances", "quotas")

_DATABASE_ENDINGS = ("", "-wal", "-shm")
"""Endings of the names of SQLite's files."""

_NEEDED_BY = {Kind.ORIGINAL: "uploads", Kind.THUMBNAIL: "thumbnails", Kind.PYRAMID: "deep zoom"}


class UnusableDirectory(StoreUnavailable):
    """A directory or file that the daemon may not write to, or that is none; `path` is for operators only."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


def check_directories(store: IAssetStore, collections: Collections) -> None:
    """Raise `UnusableDirectory` if uploads to, or derivatives in, a collection in `store` would fail.

    Looks at permissions, and writes nothing. Does not look at the shards of the sharded layout, which may be thousands.
    """
    files = ILocalFiles(store)
    _check_base(files.root, "uploads")
    if os.path.lexists(files.root / _PRESENCE):
        _check_directory(files.root / _PRESENCE, "the marks of running daemons", may_be_link=False)
    for directory in collections.directories(store):
        check_collection(store, collections, directory)


def check_collection(store: IAssetStore, collections: Collections, directory: str) -> None:
    """Do as `check_directories` for the collection in `directory`."""
    files = ILocalFiles(store)
    for kind in collections.place_in(directory).kinds_in(store):
        _check_base(_nearest(files.root / directory / kind.value, files.root), _NEEDED_BY[kind])
    for kind, needed_by in ((Kind.TRASH, "the trash"), (Kind.LAYERS, "what is known of layers")):
        base = files.root / directory / kind.value
        if os.path.lexists(base):
            _check_base(base, needed_by)


def check_spool(root: Path) -> None:
    """Raise `UnusableDirectory` for a directory or database of the daemon in the spool that it may not write to.

    The spool need not exist yet.
    """
    _check_directory(root, "copies and uploads")
    if not root.exists():
        return
    with os.scandir(root) as entries:
        ours = sorted(entry.name for entry in entries if _IN_SPOOL.fullmatch(entry.name))
    for name in ours:
        _check_directory(root / name, "copies and uploads", may_be_link=name in _MAY_BE_LINKS)
        with suppress(FileNotFoundError), os.scandir(root / name) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _check_directory(Path(entry.path), "copies and uploads")
                elif ".sqlite" in entry.name:
                    _check_file(Path(entry.path), "quotas")


def check_database(path: Path, needed_by: str) -> bool:
    """Raise `UnusableDirectory` if the SQLite file `path`, or a file that SQLite makes beside it, cannot be written to.

    Return whether it exists, which it need not yet.
    """
    # SQLite puts its other files beside the one to which a link leads.
    path = path.resolve()
    _check_directory(_nearest(path.parent, Path(path.anchor)), needed_by)
    for ending in _DATABASE_ENDINGS:
        _check_file(path.with_name(path.name + ending), needed_by)
    return path.exists()


def _nearest(base: Path, root: Path) -> Path:
    """Return `base`, or the directory above it in which it is to be made."""
    while base != root and not os.path.lexists(base):
        base = base.parent
    return base


def _check_base(path: Path, needed_by: str) -> None:
    """Check a directory that has a staging directory in it, or will have one."""
    _check_directory(path, needed_by)
    if os.path.lexists(path / _STAGING):
        _check_directory(path / _STAGING, needed_by, may_be_link=False)


def _check_directory(path: Path, needed_by: str, may_be_link: bool = True) -> None:
    if path.is_symlink() and not may_be_link:
        raise UnusableDirectory(f"a link is in the place of a directory for {needed_by}", path)
    if not path.is_dir():
        if not os.path.lexists(path):
            # Removed meanwhile, as the daemon does with some.
            return
        raise UnusableDirectory(f"a file or a broken link is in the place of a directory for {needed_by}", path)
    # Reading too: a directory is opened before anything in it is made or removed.
    if not may_use(path, os.R_OK | os.W_OK | os.X_OK):
        raise UnusableDirectory(f"a directory for {needed_by} cannot be written to by this user", path)


def _check_file(path: Path, needed_by: str) -> None:
    if not path.is_file():
        if not os.path.lexists(path):
            return
        raise UnusableDirectory(f"a directory or a broken link is in the place of a file for {needed_by}", path)
    if not may_use(path, os.R_OK | os.W_OK):
        raise UnusableDirectory(f"a file for {needed_by} cannot be written to by this user", path)


def may_use(path: Path, mode: int) -> bool:
    """Return whether this process may use a path, and would without capabilities, which the daemon has not.

    A command that root has called keeps one to read every file. The real user counts without it, and the effective one
    where twistd has changed that only.
    """
    return os.access(path, mode) and os.access(path, mode, effective_ids=True)
