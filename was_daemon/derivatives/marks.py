"""Which version of its original a thumbnail shows, written behind the picture.

Several daemons may use one store. One of them may store a thumbnail just after another one has replaced the original it
was made of, or be killed then: the thumbnail's own time says nothing. So each that is made here carries a mark of the
version, in the form of a box that ISO media files may end with (ISO/IEC 14496-12, section 8.1.2); readers of the other
formats do not look behind the picture. Thumbnails of other servers have none.
"""

from contextlib import aclosing
from hashlib import sha256

from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.memory_reader import MemoryReader

_PART = 16
"""Bytes of a digest."""

MARK_SIZE = 12 + 2 * _PART
_HEAD = MARK_SIZE.to_bytes(4, "big") + b"free" + b"waSr"
_NOTHING = bytes(_PART)


def mark_of(original: AssetStat) -> bytes:
    """What ends a thumbnail of this version."""
    return _HEAD + _part(original.etag) + _dated(original)


def _dated(original: AssetStat) -> bytes:
    """The version by its size and time: a backup that is put back keeps these, and no inodes as there are in etags.

    A time in whole seconds is not enough: two versions may share it.
    """
    return _part(f"{original.size} {original.modified!r}") if original.modified % 1 else _NOTHING


def _part(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()[:_PART]


async def shows(reader: IAssetReader, original: AssetStat) -> bool:
    """Whether a stored thumbnail is one of this version.

    One without a mark is, when it is not older (contract, section 4).
    """
    end = await _end_of(reader)
    if not end.startswith(_HEAD):
        return reader.stat.modified >= original.modified
    etag, dated = end[-2 * _PART : -_PART], end[-_PART:]
    return etag == _part(original.etag) or (dated != _NOTHING and dated == _dated(original))


async def is_marked(reader: IAssetReader) -> bool:
    """Whether a stored file ends with a mark: then it is a thumbnail that a daemon like this one has made."""
    return is_mark(await _end_of(reader))


def is_mark(end: bytes) -> bool:
    """Whether the last `MARK_SIZE` bytes of a file are a mark."""
    return len(end) == MARK_SIZE and end.startswith(_HEAD)


async def picture_size(reader: IAssetReader) -> int:
    """How many of a stored thumbnail's bytes are before the mark."""
    return reader.stat.size - (MARK_SIZE if (await _end_of(reader)).startswith(_HEAD) else 0)


async def _end_of(reader: IAssetReader) -> bytes:
    """As many of a thumbnail's last bytes as a mark has."""
    if isinstance(reader, MemoryReader):
        # Nearly all are, and this is done for each request.
        return reader.content[-MARK_SIZE:]
    size = reader.stat.size
    async with aclosing(reader.read(max(0, size - MARK_SIZE), size)) as chunks:
        return b"".join([chunk async for chunk in chunks])
