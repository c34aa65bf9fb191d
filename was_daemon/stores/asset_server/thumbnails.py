"""Thumbnails that an asset server makes, as far as they are whole and show the current version of the original."""

import hashlib
from collections.abc import Awaitable, Callable

from was_daemon.model.errors import BrokenImage, NoThumbnail, StoreFailed
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.marks import MARK_SIZE, is_mark, is_mark_of
from was_daemon.stores.http.answer import Answer, http_time
from was_daemon.stores.memory_reader import MemoryReader

_MAX_BYTES = 1 << 25
"""Bytes of a thumbnail, which is held in memory: a PNG of 4096 pixels in each direction may have 50 MB, but has not."""

_SCALES = 8
"""Number of scales that are tried, each smaller by a pixel."""

_ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82", b"GIF8": b"\x3b"}
"""Last bytes of pictures, by their first."""


async def current_thumbnail(
    get: Callable[[int], Awaitable[Answer]], original: AssetStat, scale: int
) -> tuple[MemoryReader, str]:
    """Fire with a thumbnail of the version `original`, and its media type; `get` asks for one of a scale.

    The official server keeps the thumbnails of a file that was replaced. It makes one of a scale that nobody has asked
    for: one pixel less still fits the box. A daemon like this one tells a time that is too early while the second lasts
    in which it made a thumbnail, but marks it with the version. Raises `NoThumbnail`, `BrokenImage`, and `StoreFailed`
    for one that is incomplete: while it is being made, the official server sends what there is of it.
    """
    for each in range(scale, max(scale - _SCALES, 0), -1):
        answer = await get(each)
        _require_thumbnail(answer)
        content = await answer.content(_MAX_BYTES)
        modified = http_time(answer.header("Last-Modified")) or 0.0
        if modified and modified < int(original.modified) and not is_mark_of(content[-MARK_SIZE:], original):
            continue
        if not _is_whole(content):
            raise StoreFailed("the asset server sent an incomplete thumbnail")
        stat = AssetStat(len(content), modified, hashlib.sha256(content).hexdigest()[:32])
        return MemoryReader(content, stat), answer.header("Content-Type") or "application/octet-stream"
    raise StoreFailed("the asset server sends thumbnails of another version of the original")


def _require_thumbnail(answer: Answer) -> None:
    if answer.code in (400, 415, 500):
        # The official server's answer for a kind of file that it has no thumbnails of, and for one that it cannot read.
        answer.close()
        raise NoThumbnail("the asset server makes no thumbnail of this file")
    if answer.code in (404, 422):
        # The original is there. Of a TIFF with several pages, the official server says this.
        answer.close()
        raise BrokenImage("the asset server cannot read this file")
    answer.expect(200)


def _is_whole(content: bytes) -> bool:
    if is_mark(content[-MARK_SIZE:]):
        content = content[:-MARK_SIZE]
    end = next((end for begin, end in _ENDS.items() if content.startswith(begin)), b"")
    return bool(content) and content.rstrip(b"\0").endswith(end)
