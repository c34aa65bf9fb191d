"""Directories on a disk: made durably, and opened without following links that no administrator has set.

An administrator may make the root of a store, the directory of a collection, and `originals` and `thumbnails` in it
links to other disks. Below these the daemon goes from one open directory to the next and follows no link: a user who
can only write files into a store cannot make it read, replace or remove files elsewhere. Everything here blocks.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """Open a directory, whose path may lead through links, and yield its descriptor.

    After os.fsync of it, renames into and removals from the directory survive a power cut.
    """
    fd = os.open(path, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def opened_below(base: Path, names: Iterable[str] = (), create: bool = False) -> Iterator[int]:
    """Open the directory to which `names` lead, one below the other, from `base`; yield its descriptor.

    Links in `base` are followed. With `create`, missing directories of `names` are made, durably. Raises
    FileNotFoundError, and NotADirectoryError also where one of `names` is a link.
    """
    fd = os.open(base, _DIRECTORY)
    try:
        for name in names:
            if create:
                _make(fd, name)
            below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def entries_of(directory: int) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of an open directory, which has to stay open as long as they are used."""
    with os.scandir(directory) as entries:
        yield from entries


def _make(directory: int, name: str) -> None:
    try:
        os.mkdir(name, dir_fd=directory)
    except FileExistsError:
        return
    os.fsync(directory)


def make_directory(path: Path) -> None:
    """Create `path` and its missing parents, durably."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        with opened_directory(directory.parent) as parent:
            os.fsync(parent)


@attrs.frozen
class Entry:
    """Name in an open directory, which is found by the directory's descriptor even when the directory is moved."""

    directory: int
    name: str

    def lstat(self) -> os.stat_result:
        """Return the status of the file, of a link the link's own."""
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def open(self, flags: int) -> int:
        """Open the file and return its descriptor; follow no link, and do not wait for the writer of a pipe."""
        return os.open(self.name, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.directory)

    def rename(self, target: "Entry") -> None:
        """Rename the file to `target`, which is replaced."""
        os.rename(self.name, target.name, src_dir_fd=self.directory, dst_dir_fd=target.directory)

    def link(self, target: "Entry") -> None:
        """Give the file `target` as a further name. Raises FileExistsError when that exists."""
        os.link(self.name, target.name, src_dir_fd=self.directory, dst_dir_fd=target.directory, follow_symlinks=False)

    def unlink(self) -> None:
        """Remove the name."""
        os.unlink(self.name, dir_fd=self.directory)
