"""Structure of a JPEG 2000 codestream (ISO/IEC 15444-1, annex A)."""

import struct
from mmap import ACCESS_COPY, ACCESS_READ, mmap
from typing import BinaryIO

from PIL import Image, ImageChops

_START, _CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x52"
_MARKER = 2
_LEVELS = 9
"""Offset of the number of decomposition levels in the segment of the coding style."""

_COMPONENTS = 40
"""Offset of the number of components from the start; three bytes for each of them follow, the first is its depth."""

_SIGNED = 0x80
_BYTE, _DEEPEST = 8, 16
_MOST_DIFFERENCE = 64
"""Levels by which two decodings of a sample differ at the most unless one of them is wrong."""


def decomposition_levels(data: bytes) -> int | None:
    """Return how often a codestream, or the first in a file, can be halved in size; None when its header is damaged."""
    at = data.find(_START) + _MARKER
    if at < _MARKER:
        return None
    while data[at : at + 1] == b"\xff" and at + _LEVELS < len(data):
        if data[at : at + _MARKER] == _CODING_STYLE:
            return data[at + _LEVELS]
        at += _MARKER + int.from_bytes(data[at + _MARKER : at + 2 * _MARKER], "big")
    return None


def depths(source: BinaryIO) -> list[int]:
    """Return the bits per sample of the components, [] when the header is damaged."""
    with mmap(source.fileno(), 0, access=ACCESS_READ) as data:
        return [(data[at] & ~_SIGNED) + 1 for at in _depth_positions(data)]


def with_headroom(source: BinaryIO) -> mmap:
    """Return a file, in a private mapping, whose samples are said to have one bit more than they have.

    Decoded samples are then in the middle half of what is possible.
    """
    data = mmap(source.fileno(), 0, access=ACCESS_COPY)
    for at in _depth_positions(data):
        data[at] += 1
    return data


def is_deep(bits: list[int]) -> bool:
    """Return whether samples have to be reduced to bytes; not when they are of a depth that no picture has."""
    return bool(bits) and _BYTE < max(bits) <= _DEEPEST


def unwrapped(image: Image.Image, headroom: Image.Image) -> Image.Image:
    """Return `image` with what Pillow made of samples that are too large to be rounded up to a byte: black, not white.

    `headroom` is what it made of the same picture `with_headroom`.
    """
    bands = []
    for band, halved in zip(image.split(), headroom.split(), strict=True):
        restored = halved.point([max(0, min(255, 2 * value - 128)) for value in range(256)])
        wrong = ImageChops.difference(band, restored).point([255 * (value > _MOST_DIFFERENCE) for value in range(256)])
        bands.append(Image.composite(restored, band, wrong))
    return Image.merge(image.mode, bands)


def widened(image: Image.Image, bits: list[int]) -> Image.Image:
    """Return `image`, whose samples of fewer than 8 bits Pillow has only shifted, with white as 255."""
    bands = image.split()
    if len(bands) != len(bits) or min(bits, default=_BYTE) >= _BYTE:
        return image
    whites = [((1 << depth) - 1) << (_BYTE - depth) if depth < _BYTE else 255 for depth in bits]
    scaled = [
        band.point([min(255, round(value * 255 / white)) for value in range(256)])
        for band, white in zip(bands, whites, strict=True)
    ]
    return Image.merge(image.mode, scaled)


def _depth_positions(data: mmap) -> range:
    start = data.find(_START)
    at = start + _COMPONENTS
    if start < 0 or at + 2 > len(data):
        return range(0)
    (count,) = struct.unpack_from(">H", data, at)
    end = at + 2 + 3 * count
    return range(at + 2, end, 3) if end <= len(data) else range(0)
