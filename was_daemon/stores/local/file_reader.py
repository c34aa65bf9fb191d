"""Versions of assets that are files, and their bytes."""

import os
import stat
import time
from collections.abc import AsyncGenerator, Callable
from io import FileIO
from threading import Lock

from zope.interface import implementer

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import AssetNotFound, StoreFailed
from was_daemon.model.interfaces import AssetStat, IFileReader
from was_daemon.stores.local.cached import read_cached
from was_daemon.stores.memory_reader import MemoryReader

_READ_AT_ONCE = 1 << 16
"""Files up to this size are read when they are opened: thumbnails need one visit to a thread at most, not two."""

_LITTLE, _MUCH = 1 << 17, 1 << 19
"""Bytes read from a file at a time: few for a client that may be slow, as a thousand such clients hold as many each."""

_QUICK_SECONDS = 0.01
_PROVEN = 16 << 20
"""Bytes after which a client that always took more within `_QUICK_SECONDS` is quick. Sockets alone take a few."""


def file_stat(status: os.stat_result) -> AssetStat:
    """Return the version of a file with this status. Raises `AssetNotFound` when it is not a regular file."""
    if not stat.S_ISREG(status.st_mode):
        raise AssetNotFound("no such asset")
    # The inode tells apart two versions of one size that were written within the clock's resolution.
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    return AssetStat(status.st_size, status.st_mtime_ns / 1e9, etag)


@implementer(IFileReader)
class FileReader:
    """Open file; deleting or replacing it leaves this version readable.

    `threads` returns the threads that read bytes which are not in memory.
    """

    def __init__(self, threads: Callable[[], DiskThreads], fd: int, asset: AssetStat) -> None:
        self.stat = asset
        self._threads = threads
        self._fd = fd
        self._lock = Lock()
        self._open = True

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        stop = self.stat.size if stop is None else min(stop, self.stat.size)
        quickly = 0
        while start < stop:
            chunk = await self._chunk(start, min(_MUCH if quickly >= _PROVEN else _LITTLE, stop - start))
            if not chunk:
                raise StoreFailed("the file became shorter while it was read")
            given = time.monotonic()
            yield chunk
            start += len(chunk)
            quickly = quickly + len(chunk) if time.monotonic() - given < _QUICK_SECONDS else 0

    async def _chunk(self, offset: int, size: int) -> bytes:
        cached = read_cached(self._fd, size, offset) if self._open else None
        return await self._threads().run(self._read_at, offset, size) if cached is None else cached

    def _read_at(self, offset: int, size: int) -> bytes:
        with self._lock:
            return os.pread(self._fd, size, offset) if self._open else b""

    def file(self) -> FileIO:
        """See `IFileReader`. It shares its position with this object, which does not use it."""
        if not self._open:
            raise StoreFailed("the file is closed")
        return FileIO(os.dup(self._fd), "r")

    async def close(self) -> None:
        """See `IAssetReader`."""
        self.release()

    def release(self) -> None:
        """Close the file, at once or as soon as a read under way ends."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
            self._close()
        else:
            # A read whose caller was cancelled is under way; the reactor must not wait for it.
            self._threads().run(self._close)

    def _close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._fd)


def file_reader(
    threads: Callable[[], DiskThreads], fd: int, read: Callable[[int, int, int], bytes | None]
) -> FileReader | MemoryReader:
    """Return the reader of an open file, whose bytes `read` reads at once when they are few. Raises `AssetNotFound`."""
    try:
        asset = file_stat(os.fstat(fd))
        content = read(fd, asset.size, 0) if asset.size <= _READ_AT_ONCE else None
        # A file that is being truncated has fewer bytes than its status says: that shows when it is read to its end.
        if content is None or len(content) != asset.size:
            return FileReader(threads, fd, asset)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return MemoryReader(content, asset)


def release(reader: FileReader | MemoryReader) -> None:
    """Close a reader at once; a reader in memory needs no closing."""
    if isinstance(reader, FileReader):
        reader.release()
