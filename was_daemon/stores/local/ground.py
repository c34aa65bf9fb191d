"""Whether the directory of a store is still the one that it was.

When a disk is unmounted, or a directory renamed, another directory may be in its place: the bare mount point, or one
that an upload would make. What is stored there is as good as lost, for it is hidden as soon as the right one is back.
So a store remembers what it has begun with. Everything here blocks.
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


class Ground:
    """The directory `root`, as it was seen first, and those below it that lie on other disks.

    `has_mark` tells whether something that the daemon has left in `root` is there; it is told whether the inode is the
    same. With it, a directory is the right one under other numbers, too: network mounts that come back may have another
    device, FUSE has other inodes.
    """

    def __init__(self, root: Path, has_mark: Callable[[bool], bool]) -> None:
        self._root = root
        self._has_mark = has_mark
        self._known: _Identity | None = None
        self._elsewhere: dict[Path, _Identity] = {}
        self._lost: set[Path] = set()

    def exists(self) -> bool:
        """Whether there is a directory at all."""
        return self._root.is_dir()

    def prepare(self) -> None:
        """Make the root when it is missing, but only the first time."""
        if self._known is None:
            make_directory(self._root)

    def verify_all(self) -> None:
        """`verify` the root and all that was seen to lie on other disks."""
        self.verify(*tuple(self._elsewhere))

    def verify(self, *directories: Path) -> None:
        """See that the root, and these below it, are what they were before; raises `StoreUnavailable`.

        What was never seen is right as it is.
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
        return bool(found and found != known and self._has_mark(found[1] == known[1]))

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
        """Go on with the root that is there now, if there is one; whether it is another than before.

        `directories` are those below it that `verify` is to know.
        """
        found = _identity(self._root)
        changed = bool(self._known and found and found != self._known and not self._is_ours(found, self._known))
        self._known = found or self._known
        self._elsewhere.clear()
        if found:
            self.verify(*directories)
        return changed


def _identity(path: Path) -> _Identity | None:
    """What tells a directory from others; None when there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # before every visit to the disk, and twice as fast
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return status.st_dev, status.st_ino
