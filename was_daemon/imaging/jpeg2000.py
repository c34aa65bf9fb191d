"""Structure of a JPEG 2000 codestream (ISO/IEC 15444-1, annex A)."""

from io import RawIOBase
from typing import Any, BinaryIO

from PIL import Image, ImageChops

from was_daemon.imaging.containers.boxes import boxes

_START, _CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x52"
_MARKER = 2
_LEVELS = 9
"""Offset of the number of decomposition levels in the segment of the coding style."""

_COMPONENTS = 40
"""Offset of the number of components from the start; what follows is about each of them."""

_COMPONENT = 3
"""Bytes about a component; the first is the code of its depth."""

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
    return [(code & ~_SIGNED) + 1 for code in _depth_codes(source)[1]]


class WithHeadroom(RawIOBase):
    """The file `source`, which says of its samples that they have one bit more than they have.

    Decoded samples are then in the middle half of what is possible.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._file = source
        start, codes = _depth_codes(source)
        self._replaced = {start + _COMPONENT * number: code + 1 for number, code in enumerate(codes)}
        self.seek(0)

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """See `io.IOBase`."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._file.tell()

    def read(self, size: int = -1, /) -> bytes:
        """See `io.RawIOBase`."""
        start = self._file.tell()
        data = bytearray(self._file.read(size))
        for position, code in self._replaced.items():
            if start <= position < start + len(data):
                data[position - start] = code
        return bytes(data)


def is_deep(bits: list[int]) -> bool:
    """Return whether samples have to be reduced to bytes; not when they are of a depth that no picture has."""
    return bool(bits) and _BYTE < max(bits) <= _DEEPEST


def has_zeros(image: Image.Image) -> bool:
    """Return whether a sample of an image of bytes is 0; without a copy of its bands."""
    extrema: Any = image.getextrema()
    return 0 in ([extrema[0]] if image.mode == "L" else [low for low, _ in extrema])


def unwrapped(image: Image.Image, headroom: Image.Image) -> Image.Image:
    """Return `image` with what Pillow made of samples that are too large to be rounded up to a byte: black, not white.

    `headroom` is what it made of the same picture in a file `WithHeadroom`.
    """
    bands = []
    for band, halved in zip(image.split(), headroom.split(), strict=True):
        restored = halved.point([max(0, min(255, 2 * value - 128)) for value in range(256)])
        wrong = ImageChops.difference(band, restored).point([255 * (value > _MOST_DIFFERENCE) for value in range(256)])
        bands.append(Image.composite(restored, band, wrong))
    return Image.merge(image.mode, bands)


def widened(image: Image.Image, bits: list[int]) -> Image.Image:
    """Return `image`, whose samples of fewer than 8 bits Pillow has only shifted, with white as 255."""
    if min(bits, default=_BYTE) >= _BYTE or len(bits) != len(image.getbands()):
        return image
    whites = [((1 << depth) - 1) << (_BYTE - depth) if depth < _BYTE else 255 for depth in bits]
    scaled = [
        band.point([min(255, round(value * 255 / white)) for value in range(256)])
        for band, white in zip(image.split(), whites, strict=True)
    ]
    return Image.merge(image.mode, scaled)


def _depth_codes(source: BinaryIO) -> tuple[int, bytes]:
    """Return where the codes of the components' depths begin, and every third byte from there on, which they are."""
    start = _codestream(source)
    source.seek(start + _COMPONENTS)
    count = int.from_bytes(source.read(2), "big")
    table = source.read(_COMPONENT * count)
    whole = len(table) // _COMPONENT * _COMPONENT
    return start + _COMPONENTS + 2, table[:whole:_COMPONENT]


def _codestream(source: BinaryIO) -> int:
    """Return where the codestream begins; the end of a file without one."""
    source.seek(0)
    if source.read(len(_START)) == _START:
        return 0
    end = source.seek(0, 2)
    return next((box.start for box in boxes(source, 0, end) if box.name == b"jp2c"), end)
