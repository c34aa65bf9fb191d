"""Marks of stored derivatives: whether a file has one, and whether it shows the current version."""

import os
from contextlib import aclosing

from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.model.marks import MARK_SIZE, is_mark, is_mark_of
from was_daemon.stores.local.directories import Entry
from was_daemon.stores.memory_reader import MemoryReader


async def shows(reader: IAssetReader, original: AssetStat) -> bool:
    """Fire with whether a stored derivative shows this version.

    A derivative without a mark does if it is not older than the original (contract, section 4).
    """
    end = await _end_of(reader)
    if not is_mark(end):
        return reader.stat.modified >= original.modified
    return is_mark_of(end, original)


async def is_marked(reader: IAssetReader) -> bool:
    """Fire with whether a stored file ends with a mark, so that it is known to be a derivative made by a daemon."""
    return is_mark(await _end_of(reader))


def has_mark(entry: Entry) -> bool:
    """Return whether a file on a disk ends with a mark, False if it may not be read; blocks, raises OSError."""
    try:
        fd = entry.open(os.O_RDONLY)
    except PermissionError:
        return False
    try:
        return is_mark(os.pread(fd, MARK_SIZE, max(0, os.fstat(fd).st_size - MARK_SIZE)))
    finally:
        os.close(fd)


async def picture_size(reader: IAssetReader) -> int:
    """Fire with the size in bytes of a stored derivative without its mark."""
    return reader.stat.size - (MARK_SIZE if await is_marked(reader) else 0)


async def _end_of(reader: IAssetReader) -> bytes:
    """Fire with the last `MARK_SIZE` bytes of a derivative."""
    if isinstance(reader, MemoryReader):
        # Nearly all are, and this is done for each request.
        return reader.content[-MARK_SIZE:]
    size = reader.stat.size
    async with aclosing(reader.read(max(0, size - MARK_SIZE), size)) as chunks:
        return b"".join([chunk async for chunk in chunks])
