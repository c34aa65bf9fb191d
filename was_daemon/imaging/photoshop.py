"""Photoshop files that Pillow does not read: 16 bits per channel, and those without a composite."""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from PIL import Image

from was_daemon.imaging.file_types import FileType
from was_daemon.imaging.picture import Picture, check_pixels, reduction
from was_daemon.imaging.pillow import decode

_MODES = {1: "L", 3: "RGB", 4: "CMYK", 8: "L", 9: "LAB"}
"""Pillow's mode by Photoshop's; a duotone (8) counts as grey."""

DEEP = 16
"""Bits per channel of the files for `read_deep`."""

_HEADER = struct.Struct(">4sH6xHIIHH")
_UNPACKED, _PACKED = 0, 1
_PREVIEW, _PROFILE = 1036, 1039
"""Image resources."""

_PREVIEW_HEADER = 28


def depth(source: BinaryIO) -> int:
    """Return the number of bits per channel."""
    source.seek(22)
    return int.from_bytes(source.read(2), "big")


def read_deep(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """Read the composite of a file of 16 bits per channel; with `tolerant`, missing parts are black.

    Raises `BrokenImage` for too many pixels, MemoryError, and ValueError or struct.error for a damaged file.
    """
    source.seek(0)
    _, _, channels, height, width, _, colours = _HEADER.unpack(source.read(_HEADER.size))
    size = (width, height)
    check_pixels(size, max_pixels)
    mode = _MODES[colours]
    if mode == "RGB" and channels == len("RGBA"):
        mode = "RGBA"
    if channels < len(mode):
        raise ValueError("there are fewer channels than colours")
    profile = _resource(source, _PROFILE)
    _skip_block(source)
    step = max(1, int(reduction(size, box)))
    planes = [
        Image.frombytes("L", size, plane).reduce(step) for plane in _planes(source, len(mode), channels, size, tolerant)
    ]
    if mode == "CMYK":
        planes = [plane.point(lambda value: 255 - value) for plane in planes]
    return Picture(Image.merge(mode, planes), profile, size=size, extent=(width / step, height / step))


def read_preview(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """Read the preview, of up to 160 pixels; raises KeyError without one, and the errors of `decode`."""
    preview = _resource(source, _PREVIEW)
    if preview is None:
        raise KeyError(_PREVIEW)
    picture = decode(BytesIO(preview[_PREVIEW_HEADER:]), FileType.JPEG, box, max_pixels, tolerant)
    return Picture(picture.image, picture.profile)


def _planes(source: BinaryIO, count: int, channels: int, size: tuple[int, int], tolerant: bool) -> Iterator[bytes]:
    """Yield the upper bytes of the first `count` channels."""
    width, height = size
    compression = int.from_bytes(source.read(2), "big")
    if compression not in (_UNPACKED, _PACKED):
        raise ValueError("the composite is in an unknown compression")
    lengths = [2 * width * height] * channels
    if compression == _PACKED:
        rows = struct.unpack(f">{height * channels}H", source.read(2 * height * channels))
        lengths = [sum(rows[start : start + height]) for start in range(0, len(rows), height)]
    for length in lengths[:count]:
        data = source.read(length)
        if compression == _PACKED:
            data = Image.frombytes("L", (2 * width, height), data, "packbits", "L").tobytes()
        upper = data[::2]
        if len(upper) < width * height and not tolerant:
            raise ValueError("the file ends too early")
        yield upper.ljust(width * height, b"\0")


def _resource(source: BinaryIO, wanted: int) -> bytes | None:
    """Return an image resource, or None; `source` is then at the layers, which follow the resources."""
    source.seek(_HEADER.size)
    _skip_block(source)
    (size,) = struct.unpack(">I", source.read(4))
    end = source.tell() + size
    found = None
    while source.tell() < end and source.read(4) == b"8BIM":
        number, name_length = struct.unpack(">HB", source.read(3))
        source.seek(name_length | 1, 1)
        (length,) = struct.unpack(">I", source.read(4))
        if number == wanted:
            found = source.read(min(length, end - source.tell()))
            break
        source.seek(length + length % 2, 1)
    source.seek(end)
    return found


def _skip_block(source: BinaryIO) -> None:
    (size,) = struct.unpack(">I", source.read(4))
    source.seek(size, 1)
