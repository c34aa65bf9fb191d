"""Tiles that a worker has decoded last. Regions that lie side by side are made of the same ones, to a part."""

import os
from collections import OrderedDict
from io import BytesIO
from typing import BinaryIO, TypeAlias
from zlib import crc32

import attrs
from PIL import Image

from was_daemon.model.errors import DamagedDerivative

_MOST_BYTES = 32 << 20
"""Bytes of pixels that are kept: of 32 tiles in colour, of which a screen shows ten or so."""

_Place: TypeAlias = tuple[int, int, int, int]
"""Device, inode and time of modification of a file, and an offset in it."""


@attrs.frozen
class PlacedTile:
    """A tile in a file of several: its place in bytes, their CRC-32, and its place in pixels of its level."""

    offset: int
    length: int
    checksum: int
    x: int
    y: int


class DecodedTiles:
    """Cache of the tiles used last, by the files they are in: pyramids are replaced by others, but never changed."""

    def __init__(self) -> None:
        self._images: OrderedDict[_Place, Image.Image] = OrderedDict()
        self._size = 0

    def get(self, source: BinaryIO, tile: PlacedTile) -> Image.Image:
        """Return a tile of `source`, which is not to be changed; raises `DamagedDerivative`."""
        status = os.fstat(source.fileno())
        place = (status.st_dev, status.st_ino, status.st_mtime_ns, tile.offset)
        image = self._images.pop(place, None)
        if image is None:
            image = _decode(source, tile)
            self._size += _size(image)
        self._images[place] = image
        while self._size > _MOST_BYTES:
            self._size -= _size(self._images.popitem(last=False)[1])
        return image


def _decode(source: BinaryIO, tile: PlacedTile) -> Image.Image:
    source.seek(tile.offset)
    content = source.read(tile.length)
    if crc32(content) != tile.checksum:
        raise DamagedDerivative("the picture's tiles are damaged")
    with Image.open(BytesIO(content), formats=["JPEG", "PNG"]) as image:
        image.load()
        return image


def _size(image: Image.Image) -> int:
    # Pillow has four bytes for each pixel in colour.
    return image.width * image.height * (1 if image.mode == "L" else 4)
