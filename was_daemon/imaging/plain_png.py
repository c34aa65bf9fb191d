"""PNG files without compression, as a form in which libvips takes pixels row by row from a Python program."""

import struct
import zlib
from collections.abc import Iterable, Iterator

from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {"L": 0, "RGB": 2}
_UNFILTERED = b"\0"


def png_of(strips: Iterable[Image.Image], size: tuple[int, int], mode: str) -> Iterator[bytes]:
    """Yield the bytes of a PNG of `size` pixels whose rows come in `strips` of L or RGB, from top to bottom."""
    yield _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, _COLOUR_TYPES[mode], 0, 0, 0))
    deflate = zlib.compressobj(0)
    for strip in strips:
        yield _chunk(b"IDAT", deflate.compress(_scanlines(strip)))
    yield _chunk(b"IDAT", deflate.flush()) + _chunk(b"IEND", b"")


def _scanlines(strip: Image.Image) -> bytes:
    """Return the rows of a strip, each behind the number of its filter (PNG, section 4.5.2)."""
    data, stride = memoryview(strip.tobytes()), strip.width * len(strip.getbands())
    return _UNFILTERED + _UNFILTERED.join(data[at : at + stride] for at in range(0, len(data), stride))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
