"""Files that are being written and are no assets yet.

A staging file lies in a `.staging` directory - a name no asset can have - on the file system it is meant for, and is
locked by the process that writes it. A file that is found there without a lock is abandoned. Other programs may use
the directory, too: files with other names are theirs.
"""

import ctypes
import os
import re
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from threading import Lock
from uuid import uuid4

from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import UploadWithdrawn
from was_daemon.model.interfaces import IStagingFile
from was_daemon.stores.local.directories import Entry, make_directory, opened_below
from was_daemon.stores.local.disk import free_bytes, open_regular
from was_daemon.stores.local.locking import FileLock, create_locked, try_lock, unlock
from was_daemon.stores.local.replacing import put_in_place

DIRECTORY = ".staging"
_NAME = re.compile(r"was-[0-9a-f]{32}\.part")
"""Names of the daemon's own files there."""

CHUNK = 1 << 19
"""Bytes read or written at a time: large enough that the thread hop costs nothing, small enough for many at once."""

_IOV_MAX = 1024

_WRITTEN_BACK_AT_ONCE = 1 << 20
"""Bytes after which the disk is to begin to write: when the last byte of a file arrives, no more are left to write."""

_WRITE = 2
"""SYNC_FILE_RANGE_WRITE (sync_file_range(2))."""

_libc = ctypes.CDLL(None, use_errno=True)

STALE_SECONDS = 24 * 3600
"""Age at which an unfinished upload, or a file without locks, is abandoned: no single file takes a day to send."""

_log = Logger()


@implementer(IStagingFile)
class StagingFile:
    """Locked, open file in the staging directory of `base`. Made by `stage`."""

    def __init__(self, threads: DiskThreads, base: Path, name: str, fd: int, free: int, durable: bool) -> None:
        self._base = base
        self._name = name
        self._durable = durable
        self._free_before: int | None = free
        self._threads = threads
        self._fd = fd
        # The methods run in threads and a cancelled write runs on: closing the file waits for it here.
        self._lock = Lock()
        self._open = True
        self._not_written_back = 0

    @property
    def path(self) -> Path:
        """Path of the file, for messages."""
        return self._base / DIRECTORY / self._name

    async def write(self, chunks: list[bytes]) -> None:
        """See `IStagingFile`."""
        await self._threads.run(self._append, chunks)

    async def read(self) -> AsyncGenerator[bytes, None]:
        """See `IStagingFile`."""
        offset = 0
        while chunk := await self._threads.run(self._read_at, offset):
            yield chunk
            offset += len(chunk)

    async def size(self) -> int:
        """See `IStagingFile`."""
        return await self._threads.run(self._size)

    def discard(self) -> None:
        """See `IStagingFile`."""
        if self._open:
            self._threads.run(self.remove).addErrback(
                lambda failure: _log.failure("Could not remove {path}", failure, path=self.path)
            )

    async def free(self) -> int:
        """See `IStagingFile`."""
        free, self._free_before = self._free_before, None
        # The number from its creation serves the first call, which need not wait for a thread then.
        return await self._threads.run(self._free) if free is None else free

    def fileno(self) -> int:
        """See `IStagingFile`."""
        self._check_open()
        return self._fd

    def reopen(self) -> FileIO:
        """Open what was written for reading, at a position of its own; blocks."""
        with opened_below(self._base, [DIRECTORY]) as directory:
            return open_regular(self._name, directory)

    def publish(self, directory: int, name: str, replace: bool = True) -> os.stat_result:
        """See `IStagingFile`."""
        with self._lock:
            self._check_open()
            os.fsync(self._fd)
            with opened_below(self._base, [DIRECTORY]) as staging:
                stat = put_in_place(self._fd, Entry(staging, self._name), Entry(directory, name), replace)
            # A worker may still have the file open: the lock must not last until it closes it.
            unlock(self._fd)
            os.fsync(directory)
            self._close()
            return stat

    def _free(self) -> int:
        with self._lock:
            self._check_open()
            return free_bytes(self._fd)

    def _append(self, chunks: list[bytes]) -> None:
        with self._lock:
            self._check_open()
            remaining = [memoryview(chunk) for chunk in chunks]
            while remaining:
                written = os.writev(self._fd, remaining[:_IOV_MAX])
                self._not_written_back += written
                while remaining and written >= len(remaining[0]):
                    written -= len(remaining.pop(0))
                if written:
                    remaining[0] = remaining[0][written:]
            self._write_back()

    def _write_back(self) -> None:
        """Have the disk begin to write when enough bytes wait for it: `fsync` waits for the rest only."""
        if self._durable and self._not_written_back >= _WRITTEN_BACK_AT_ONCE:
            self._not_written_back = 0
            # From the first byte to the last. On file systems without this call, all is left to fsync.
            _libc.sync_file_range(self._fd, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE)

    def _read_at(self, offset: int) -> bytes:
        with self._lock:
            self._check_open()
            return os.pread(self._fd, CHUNK, offset)

    def _size(self) -> int:
        with self._lock:
            self._check_open()
            return os.fstat(self._fd).st_size

    def remove(self) -> None:
        """Do the work of `discard` in the calling thread; blocks."""
        with self._lock:
            if self._open:
                try:
                    with (
                        suppress(FileNotFoundError),
                        opened_below(self._base, [DIRECTORY]) as directory,
                    ):
                        Entry(directory, self._name).unlink()
                finally:
                    # A file that cannot be removed now has no lock any more, and is removed at the next start.
                    self._close()

    def _check_open(self) -> None:
        if not self._open:
            raise UploadWithdrawn("the upload was given up")

    def _close(self) -> None:
        self._open = False
        os.close(self._fd)


def stage(threads: DiskThreads, base: Path, durable: bool = True) -> StagingFile:
    """Create a staging file in `.staging` in `base`, both of which are created when missing; blocks.

    A `durable` file is written to the disk while it grows; others are read and discarded.
    """
    make_directory(base)
    with opened_below(base, [DIRECTORY], create=True) as directory:
        free = free_bytes(directory)
        name, fd = create_locked(directory, lambda: f"was-{uuid4().hex}.part")
    return StagingFile(threads, base, name, fd, free, durable)


def remove_stale(base: Path, directory: str = DIRECTORY, names: re.Pattern[str] = _NAME) -> int:
    """Remove the files with these names in a directory of `base` that no process has locked; return their number.

    Where files cannot be locked, files are removed that were last written to more than a day ago. Links, files with
    other names, and the content of a directory that is a link are left alone. Blocks.
    """
    with suppress(FileNotFoundError, NotADirectoryError), opened_below(base, [directory]) as opened:
        with os.scandir(opened) as entries:
            ours = [
                entry.name for entry in entries if names.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            ]
        return sum(_remove_unlocked(Entry(opened, name), base / directory) for name in ours)
    return 0


def _remove_unlocked(entry: Entry, directory: Path) -> bool:
    try:
        fd = entry.open(os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError as error:
        _log.warn("Could not remove {path}: {error}", path=directory / entry.name, error=error)
        return False
    try:
        lock = try_lock(fd)
        is_recent = time.time() - os.fstat(fd).st_mtime < STALE_SECONDS
        if lock is FileLock.THEIRS or (lock is FileLock.UNSUPPORTED and is_recent):
            return False
        with suppress(FileNotFoundError):
            entry.unlink()
        return True
    finally:
        os.close(fd)
