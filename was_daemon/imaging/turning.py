"""Pictures made upright by their EXIF orientation, in little memory."""

import resource
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from PIL import Image

from was_daemon.imaging.strips import AlphaNote, FullSize, from_strips, strips_of_rows

_TURNS: dict[int, Callable[[Any], Any]] = {
    2: lambda image: image.fliphor(),
    3: lambda image: image.rot180(),
    4: lambda image: image.flipver(),
    5: lambda image: image.rot90().fliphor(),
    6: lambda image: image.rot90(),
    7: lambda image: image.rot270().fliphor(),
    8: lambda image: image.rot270(),
}
"""What makes a picture upright, by its EXIF orientation."""

_ROW_BY_ROW = (1, 2)
"""Orientations in which the rows of a picture are those of the file."""

_SIDEWAYS = (5, 6, 7, 8)
"""Orientations in which the rows of a picture are columns of the file."""

_FROM_THE_END = (3, 4, 7, 8)
"""Orientations in which the first row of a picture is the last row or column of the file."""

_LARGEST_PART = 256 << 20
"""Bytes of pixels that are held to turn a picture, or a quarter of the memory that this process may use.

A larger picture is read several times, each time for another part.
"""


def turned(stored: FullSize, read: Callable[[], FullSize], orientation: int) -> FullSize:
    """Return `stored` upright: as its rows come, or else held in memory, or else read several times by `read`."""
    turn = _TURNS.get(orientation)
    if turn is None:
        return stored
    if orientation in _ROW_BY_ROW:
        return attrs.evolve(stored, image=turn(stored.image))
    image = stored.image
    if image.width * image.height * image.bands <= _largest_part():
        return attrs.evolve(stored, image=turn(image.copy_memory()))
    size = (image.height, image.width) if orientation in _SIDEWAYS else (image.width, image.height)
    turned = from_strips(_turned_in_parts(read, size, orientation, stored), size, stored.mode, stored.pages)
    return attrs.evolve(turned, alpha_note=stored.alpha_note)


def _largest_part() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _LARGEST_PART if limit == resource.RLIM_INFINITY else min(_LARGEST_PART, limit // 4)


def _turned_in_parts(
    read: Callable[[], FullSize], size: tuple[int, int], orientation: int, stored: FullSize
) -> Iterator[Image.Image]:
    """Yield strips of the upright picture, which has `size`; note the alpha of all parts as that of `stored`."""
    width, height = size
    rows = max(1, _largest_part() // (width * stored.image.bands))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        # The rows of the upright picture are rows or columns of the stored one, from its beginning or its end.
        start = height - top - count if orientation in _FROM_THE_END else top
        box = (start, 0, count, width) if orientation in _SIDEWAYS else (0, start, width, count)
        # Held by nothing here, so that its memory is free before the next part is read.
        yield from strips_of_rows(_turned_part(read(), box, orientation, stored.alpha_note), stored.mode)


def _turned_part(whole: FullSize, box: tuple[int, int, int, int], orientation: int, note: AlphaNote) -> Any:
    part = whole.image.crop(*box).copy_memory()
    whole.check()
    note.is_used |= whole.has_alpha
    whole.end()
    return _TURNS[orientation](part)
