"""Detection of a store's directory that was replaced or unmounted.

When a disk is unmounted, or a directory renamed, another directory may be in its place: the bare mount point, or one
that an upload would make. An asset stored there would be hidden as soon as the right directory is back. So a store
remembers the identity of its directory. Everything here blocks.
"""

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from twisted.logger import Logger

from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.local.directories import make_directory

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_Identity = tuple[int, int]
"""Device and inode."""

_log = Logger()


class RootIdentity:
    """Detects that a store's root directory was replaced or unmounted.

    Directories below the root that lie on other disks are watched as well. `has_presence_file` returns whether a file
    that the daemon has left in `root` is there; its argument is whether the inode is the same. With that file, a
    directory is accepted under other numbers, too: network mounts that come back may have another device, FUSE has
    other inodes.
    """

    def __init__(self, root: Path, has_presence_file: Callable[[bool], bool]) -> None:
        self._root = root
        self._has_presence_file = has_presence_file
        self._known: _Identity | None = None
        self._elsewhere: dict[Path, _Identity] = {}
        self._lost: set[Path] = set()

    def exists(self) -> bool:
        """Return whether there is a directory at all."""
        return self._root.is_dir()

    def prepare(self) -> None:
        """Make the root when it is missing and was never seen before."""
        if self._known is None:
            make_directory(self._root)

    def verify_all(self) -> None:
        """Do `verify` for the root and all directories that were seen to lie on other disks."""
        self.verify(*tuple(self._elsewhere))

    def verify(self, *directories: Path) -> None:
        """Check that the root, and these directories below it, are the same as before. Raises `StoreUnavailable`.

        A directory that was not seen before is accepted.
        """
        root = self._verified_root()
        for directory in directories:
            if root:
                self._verify_below(directory, root)

    def _verified_root(self) -> _Identity | None:
        found = _identity(self._root)
        if self._known is None or self._is_ours(found, self._known):
            self._known = found
        if found != self._known:
            raise self._loss(self._root, "the store's directory", found)
        self._lost.discard(self._root)
        return found

    def _is_ours(self, found: _Identity | None, known: _Identity) -> bool:
        return bool(found and found != known and self._has_presence_file(found[1] == known[1]))

    def _verify_below(self, directory: Path, root: _Identity) -> None:
        known, found = self._elsewhere.get(directory), _identity(directory)
        is_elsewhere = found is not None and found[0] != root[0]
        if known and not (found and is_elsewhere and (found[0] == known[0] or found[1] == known[1])):
            raise self._loss(directory, "a directory in the store", found)
        if found and is_elsewhere:
            self._elsewhere[directory] = found
        self._lost.discard(directory)

    def _loss(self, directory: Path, what: str, found: _Identity | None) -> StoreUnavailable:
        state = "is another than before" if found else "is gone"
        if directory not in self._lost:
            self._lost.add(directory)
            _log.error(
                "{directory} {state}. Is its disk mounted? If it is to be used as it is now, reload the daemon",
                directory=directory,
                state=state,
            )
        return StoreUnavailable(f"{what} {state}; is its disk mounted?")

    def accept(self, directories: Iterable[Path]) -> bool:
        """Accept the root that is there now, if there is one; return whether it is another than before.

        `directories` are the ones below it that `verify` is to watch.
        """
        found = _identity(self._root)
        changed = bool(self._known and found and found != self._known and not self._is_ours(found, self._known))
        self._known = found or self._known
        self._elsewhere.clear()
        if found:
            self.verify(*directories)
        return changed


def _identity(path: Path) -> _Identity | None:
    """Return the identity of a directory; None when there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # before every visit to the disk, and twice as fast
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return status.st_dev, status.st_ino
