"""Marks: the version of the original that a derivative shows, written behind its content.

Several daemons may use one store. One of them may store a derivative just after another has replaced the original, or
be killed then: the time of the file proves nothing. Therefore each derivative ends with a mark of the version, in the
form of a box that ISO media files may end with (ISO/IEC 14496-12, section 8.1.2); readers of the other formats do not
look behind the content. Thumbnails of other servers have no mark.
"""

import os
from contextlib import aclosing
from hashlib import sha256

from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.local.directories import Entry
from was_daemon.stores.memory_reader import MemoryReader

_DIGEST_SIZE = 16
"""Bytes of a digest."""

MARK_SIZE = 12 + 2 * _DIGEST_SIZE
_HEAD = MARK_SIZE.to_bytes(4, "big") + b"free" + b"waSr"
_NO_DIGEST = bytes(_DIGEST_SIZE)


def mark_of(original: AssetStat) -> bytes:
    """Return the bytes that end a derivative of this version."""
    return _HEAD + _digest(original.etag) + _size_and_time(original)


def _size_and_time(original: AssetStat) -> bytes:
    """Return a digest of size and time: a restored backup keeps these, but not the inodes that etags contain.

    Return zeros for a time in whole seconds, which two versions may share.
    """
    return _digest(f"{original.size} {original.modified!r}") if original.modified % 1 else _NO_DIGEST


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()[:_DIGEST_SIZE]


async def shows(reader: IAssetReader, original: AssetStat) -> bool:
    """Fire with whether a stored derivative shows this version.

    A derivative without a mark does if it is not older than the original (contract, section 4).
    """
    end = await _end_of(reader)
    if not end.startswith(_HEAD):
        return reader.stat.modified >= original.modified
    return is_mark_of(end, original)


def is_mark_of(end: bytes, original: AssetStat) -> bool:
    """Return whether `end`, the last `MARK_SIZE` bytes of a file, is the mark of a derivative of this version."""
    etag, size_and_time = end[-2 * _DIGEST_SIZE : -_DIGEST_SIZE], end[-_DIGEST_SIZE:]
    is_same = etag == _digest(original.etag) or (
        size_and_time != _NO_DIGEST and size_and_time == _size_and_time(original)
    )
    return _is_mark(end) and is_same


async def is_marked(reader: IAssetReader) -> bool:
    """Fire with whether a stored file ends with a mark, so that it is known to be a derivative made by a daemon."""
    return _is_mark(await _end_of(reader))


def has_mark(entry: Entry) -> bool:
    """Return whether a file on a disk ends with a mark, False if it may not be read; blocks, raises OSError."""
    try:
        fd = entry.open(os.O_RDONLY)
    except PermissionError:
        return False
    try:
        return _is_mark(os.pread(fd, MARK_SIZE, max(0, os.fstat(fd).st_size - MARK_SIZE)))
    finally:
        os.close(fd)


def _is_mark(end: bytes) -> bool:
    """Return whether `end`, the last `MARK_SIZE` bytes of a file, is a mark."""
    return len(end) == MARK_SIZE and end.startswith(_HEAD)


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
