"""Zoom pyramids: the geometry of their tiles, and the index at the end of a pyramid's file. Pure values, no I/O.

Level 0 of a pyramid is the whole picture; each further level has half the width and height, rounded up, until one fits
into a single tile. The tiles of all levels have numbers: level by level, row by row.
"""

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

import attrs

TILE_SIZE = 512
"""Pixels of the sides of a tile, at every level, unless it lies at the right or lower edge."""

_MAGIC = b"waSv"
_HEAD = struct.Struct("<IIIIII")
"""Width, height, size of tiles, pages of the original, whether the tiles are grey, number of tiles."""

_TRAILER = struct.Struct("<I4s")
"""Length of the index, and the magic number."""

TRAILER_SIZE = _TRAILER.size


class BadIndex(ValueError):
    """Bytes that are not the index of a pyramid."""


@attrs.frozen
class Box:
    """A rectangle of pixels: `x` and `y` of its upper left corner, width, height."""

    x: int
    y: int
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


@attrs.frozen
class Tile:
    """A tile: the part of level 0 that it shows, its own size, its place in pixels of its level, and its number."""

    region: Box
    size: tuple[int, int]
    left: int
    top: int
    number: int


@attrs.frozen(slots=False)
class Geometry:
    """The tiles of a picture of `width` x `height` pixels."""

    width: int
    height: int
    tile_size: int = TILE_SIZE

    @cached_property
    def levels(self) -> list[tuple[int, int]]:
        """The width and height of each level."""
        sizes = [(self.width, self.height)]
        while max(sizes[-1]) > self.tile_size:
            factor = 1 << len(sizes)
            sizes.append((_divide(self.width, factor), _divide(self.height, factor)))
        return sizes

    @cached_property
    def _firsts(self) -> list[int]:
        """The number of each level's first tile, and the number of all tiles."""
        firsts = [0]
        for width, height in self.levels:
            firsts.append(firsts[-1] + _divide(width, self.tile_size) * _divide(height, self.tile_size))
        return firsts

    @property
    def count(self) -> int:
        """The number of tiles."""
        return self._firsts[-1]

    def tiles(self) -> Iterator[Tile]:
        """Yield all tiles by number."""
        return map(self.tile, range(self.count))

    def tile(self, number: int) -> Tile:
        """Return the tile of a number."""
        level = bisect_right(self._firsts, number) - 1
        row, column = divmod(number - self._firsts[level], _divide(self.levels[level][0], self.tile_size))
        return self._tile(level, column, row)

    def tiles_in(self, level: int, box: Box) -> Iterator[Tile]:
        """Yield the tiles of a level that show a part of `box`, which is in pixels of that level."""
        for row in range(box.y // self.tile_size, _divide(box.y + box.height, self.tile_size)):
            for column in range(box.x // self.tile_size, _divide(box.x + box.width, self.tile_size)):
                yield self._tile(level, column, row)

    def tiles_of(self, region: Box) -> Iterator[Tile]:
        """Yield the tiles that show `region` of level 0 and nothing else; at the edges there may be several."""
        for level in range(len(self.levels)):
            side = self.tile_size << level
            if region.x % side == 0 and region.y % side == 0:
                tile = self._tile(level, region.x // side, region.y // side)
                if tile.region == region:
                    yield tile

    def _tile(self, level: int, column: int, row: int) -> Tile:
        side = self.tile_size << level
        x, y = column * side, row * side
        region = Box(x, y, min(side, self.width - x), min(side, self.height - y))
        size = _divide(region.width, 1 << level), _divide(region.height, 1 << level)
        columns = _divide(self.levels[level][0], self.tile_size)
        left, top = column * self.tile_size, row * self.tile_size
        return Tile(region, size, left, top, self._firsts[level] + row * columns + column)


@attrs.frozen
class PyramidIndex:
    """The index of a pyramid's file: where the tiles are in it, and what the original is like.

    `pages` is the number of pages of the original; `is_grey` is whether the tiles have no colours. `offsets` and
    `lengths`, in bytes, and `checksums` (CRC-32) are those of the tiles by number, and then, if the picture has clear
    parts, those of its alpha channel's tiles by number.
    """

    geometry: Geometry
    pages: int
    is_grey: bool
    offsets: "array[int]"
    lengths: "array[int]"
    checksums: "array[int]"

    def span(self, tile: Tile) -> tuple[int, int]:
        """Return the bytes [start, stop) of a tile."""
        return self._span(tile.number)

    def checksum(self, tile: Tile) -> int:
        """Return the CRC-32 of the bytes of a tile."""
        return self.checksums[tile.number]

    @property
    def has_alpha(self) -> bool:
        """Whether there are tiles of an alpha channel; parts that it makes clear are white in the others."""
        return len(self.offsets) > self.geometry.count

    def alpha_span(self, tile: Tile) -> tuple[int, int]:
        """Return the bytes [start, stop) of the alpha channel of a tile."""
        return self._span(self.geometry.count + tile.number)

    def alpha_checksum(self, tile: Tile) -> int:
        """Return the CRC-32 of the bytes of the alpha channel of a tile."""
        return self.checksums[self.geometry.count + tile.number]

    def _span(self, number: int) -> tuple[int, int]:
        start = self.offsets[number]
        return start, start + self.lengths[number]

    def pack(self) -> bytes:
        """Return the bytes of the index, to be written behind the tiles."""
        geometry = self.geometry
        sizes = geometry.width, geometry.height, geometry.tile_size
        head = _HEAD.pack(*sizes, self.pages, self.is_grey, len(self.offsets))
        content = head + b"".join(map(_little_endian, (self.offsets, self.lengths, self.checksums)))
        return content + _TRAILER.pack(len(content) + TRAILER_SIZE, _MAGIC)


def index_size(trailer: bytes) -> int:
    """Return the size in bytes of the index that ends with `trailer`; raises `BadIndex`."""
    if len(trailer) != TRAILER_SIZE:
        raise BadIndex("too short")
    size, magic = _TRAILER.unpack(trailer)
    if magic != _MAGIC:
        raise BadIndex("no magic number")
    return int(size)


def parse_index(content: bytes) -> PyramidIndex:
    """Return the index that `pack` made; raises `BadIndex`. A worker that a file has taken over may have written it."""
    if index_size(content[-TRAILER_SIZE:]) != len(content) or len(content) < _HEAD.size + TRAILER_SIZE:
        raise BadIndex("another size")
    width, height, tile_size, pages, is_grey, count = _HEAD.unpack_from(content)
    columns = array("Q"), array("I"), array("I")
    if len(content) != _HEAD.size + count * sum(column.itemsize for column in columns) + TRAILER_SIZE:
        raise BadIndex("another number of tiles")
    if not (width and height and tile_size):
        raise BadIndex("no pixels")
    geometry = Geometry(width, height, tile_size)
    if count not in (geometry.count, 2 * geometry.count):
        raise BadIndex("another geometry")
    start = _HEAD.size
    for column in columns:
        column.frombytes(content[start : start + count * column.itemsize])
        start += count * column.itemsize
    return PyramidIndex(geometry, pages, bool(is_grey), *map(_native, columns))


def _little_endian(numbers: "array[int]") -> bytes:
    return _native(numbers[:]).tobytes()


def _native(numbers: "array[int]") -> "array[int]":
    """Swap the bytes of little-endian numbers where the machine is not, in place."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _divide(number: int, divisor: int) -> int:
    """Divide, rounded up."""
    return -(-number // divisor)
