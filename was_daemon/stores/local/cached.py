"""Files that the kernel has in memory, opened and read without waiting for a disk.

The reactor must never wait for a disk, and a visit to a thread costs more than a small file. Linux can open files only
if that needs no disk (openat2 with RESOLVE_CACHED), and read only bytes in memory (preadv2 with RWF_NOWAIT). All else
is left to a thread: files that are not in memory, file systems that may have to ask another machine, symbolic links,
kernels and sandboxes that do not know these calls.
"""

import ctypes
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import AssetError, AssetNotFound

_SECONDS = 1.0
"""Time for which a directory is held open, and taken for the one at its path."""

_FRESH_SECONDS = 0.5
"""Time after which a directory in use is opened anew, so that its requests need not wait for threads every second."""

_MOST_DIRECTORIES = 256
_OPENAT2 = 437
_RESOLVE = 0x01 | 0x04 | 0x08 | 0x20
"""NO_XDEV, NO_SYMLINKS, BENEATH and CACHED: the file lies on the directory's own file system, and is in memory."""

_LOCAL = frozenset({0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630, 0x2FC12FC1, 0xF2F52010})
"""ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS and F2FS (statfs(2)): these never ask another machine."""

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    """`struct open_how` (openat2(2))."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_FOR_READING = _How(os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0, _RESOLVE)
_FOR_STATUS = _How(os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, 0, _RESOLVE)


@attrs.frozen
class _Directory:
    """Directory that is held open until `expiry`; from `due` on (monotonic seconds) it is to be opened anew."""

    fd: int
    expiry: IDelayedCall
    due: float


class CachedFiles:
    """Files below some directories, as far as they are in memory.

    `verify` is called in a thread with each directory, and raises when it may not be used.
    """

    def __init__(self, verify: Callable[[Path], None]) -> None:
        self._verify = verify
        self._directories: dict[str, _Directory] = {}
        self._refreshing: set[str] = set()
        self._refused_until: dict[str, float] = {}
        """Directories that are missing, or on another machine, and when they are looked at again."""
        self._closed = False

    def open(self, threads: Callable[[], DiskThreads], directory: str, path: str) -> int | None:
        """Return a descriptor of the file at `path` below `directory`; None when a thread has to open it.

        Raises `AssetNotFound` when there is none. `threads` returns the threads for the directory's disk.
        """
        return self._open(threads, directory, path, _FOR_READING)

    def status(self, threads: Callable[[], DiskThreads], directory: str, path: str) -> os.stat_result | None:
        """Return the status of a file, under the same conditions as `open`."""
        fd = self._open(threads, directory, path, _FOR_STATUS)
        if fd is None:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _open(self, threads: Callable[[], DiskThreads], directory: str, path: str, how: _How) -> int | None:
        known = self._directories.get(directory)
        if known is None or time.monotonic() >= known.due:
            self._refresh(threads, directory)
        if known is None:
            return None
        fd: int = _libc.syscall(_OPENAT2, known.fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        if ctypes.get_errno() in _ABSENT:
            raise AssetNotFound("no such asset")
        return None

    def _refresh(self, threads: Callable[[], DiskThreads], directory: str) -> None:
        """Begin to open `directory` in a thread; until that is done, files in it are opened in threads."""
        is_new = directory not in self._directories
        if directory in self._refreshing or (is_new and len(self._directories) >= _MOST_DIRECTORIES):
            return
        if time.monotonic() < self._refused_until.get(directory, 0):
            return
        self._refreshing.add(directory)
        opening = threads().run(self._open_verified, directory)
        opening.addErrback(_no_directory)
        opening.addCallback(lambda fd: self._remember(directory, fd))
        opening.addBoth(lambda _: self._refreshing.discard(directory))

    def _open_verified(self, directory: str) -> int | None:
        fd = _open_local(directory)
        if fd is not None:
            try:
                self._verify(Path(directory))
            except BaseException:
                os.close(fd)
                raise
        return fd

    def _remember(self, directory: str, fd: int | None) -> None:
        from twisted.internet import reactor

        if directory in self._directories:
            self._forget(directory)
        if fd is None:
            self._refuse(directory)
            return
        if self._closed:
            os.close(fd)
            return
        # Not longer: a disk with an open directory cannot be unmounted.
        expiry = IReactorTime(reactor).callLater(_SECONDS, self._forget, directory)
        self._directories[directory] = _Directory(fd, expiry, time.monotonic() + _FRESH_SECONDS)

    def _refuse(self, directory: str) -> None:
        if len(self._refused_until) >= _MOST_DIRECTORIES:
            self._refused_until.clear()
        self._refused_until[directory] = time.monotonic() + _FRESH_SECONDS

    def _forget(self, directory: str) -> None:
        known = self._directories.pop(directory)
        os.close(known.fd)
        if known.expiry.active():
            known.expiry.cancel()

    def close(self) -> None:
        """Close all directories."""
        self._closed = True
        for directory in list(self._directories):
            self._forget(directory)


def _no_directory(failure: Failure) -> None:
    """Take a directory that cannot be used for one that is not to be held open."""
    failure.trap(AssetError)


def read_cached(fd: int, size: int, offset: int) -> bytes | None:
    """Return `size` bytes of a file from `offset` on; None when they are not all in memory, or not there."""
    buffer = bytearray(size)
    try:
        return bytes(buffer) if os.preadv(fd, [buffer], offset, os.RWF_NOWAIT) == size else None
    except OSError:
        # Not in memory, or on a file system that cannot tell.
        return None


def _open_local(directory: str) -> int | None:
    """Return a descriptor of `directory`, if it is on a file system of this machine; blocks."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    status = (ctypes.c_long * 32)()
    if not _libc.fstatfs(fd, ctypes.byref(status)) and status[0] & 0xFFFFFFFF in _LOCAL:
        return fd
    os.close(fd)
    return None
