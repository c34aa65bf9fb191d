"""BMP with bit fields of any width, of which Pillow reads the usual ones only."""

import struct
from typing import Any, BinaryIO

from was_daemon.imaging.libvips import pyvips, to_builtin_error
from was_daemon.imaging.picture import Picture, check_pixels
from was_daemon.imaging.vips import to_picture

_BIT_FIELDS = (3, 6)
"""Values of the header's field for the compression; 6 has an alpha mask behind a header of any size."""

_MASKS = 54
_WITH_ALPHA = 56
"""Size of the shortest header that has an alpha mask."""

_FORMATS = {16: "ushort", 32: "uint"}


def read_bit_fields(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """Read a BMP whose pixels are numbers of 16 or 32 bits; with `tolerant`, missing parts are black.

    Raises `BrokenImage` for too many pixels, ValueError for another kind, MemoryError, and other exceptions for a
    damaged file.
    """
    source.seek(0)
    head = source.read(_MASKS + 16)
    offset, header_size, width, rows, bits, compression = struct.unpack_from("<10xIIii2xHI", head)
    height = abs(rows)
    check_pixels((width, height), max_pixels)
    if compression not in _BIT_FIELDS or bits not in _FORMATS:
        raise ValueError("the pixels are no bit fields")
    *colours, alpha = struct.unpack_from("<4I", head, _MASKS)
    has_alpha = alpha and (compression == _BIT_FIELDS[1] or header_size >= _WITH_ALPHA)
    row = (width * bits + 31) // 32 * 4
    source.seek(offset)
    data = source.read(row * height)
    if len(data) < row * height and not tolerant:
        raise ValueError("the file ends too early")
    try:
        numbers = pyvips.Image.new_from_memory(
            data.ljust(row * height, b"\0"), row * 8 // bits, height, 1, _FORMATS[bits]
        )
        numbers = numbers.crop(0, 0, width, height)
        bands = [_field(numbers, mask) for mask in ([*colours, alpha] if has_alpha else colours)]
        if has_alpha and not bands[-1].max():
            # All of it clear: reducing the picture would leave nothing of its colours.
            bands.pop()
        image = bands[0].bandjoin(bands[1:]).copy(interpretation="srgb")
        return to_picture(image if rows < 0 else image.flipver(), image, box)
    except pyvips.Error as error:
        raise to_builtin_error(error) from None


def _field(numbers: Any, mask: int) -> Any:
    """Return the bits of `numbers` below `mask`, as bytes of 0 to 255."""
    if not mask:
        return (numbers * 0).cast("uchar")
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    return (((numbers >> shift) & most) * (255 / most)).rint().cast("uchar")
