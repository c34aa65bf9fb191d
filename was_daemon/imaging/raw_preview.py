"""JPEG preview in a camera RAW file that LibRaw cannot read: one of a new camera, or cut down to its metadata."""

import struct
from itertools import islice
from typing import BinaryIO, cast

import attrs

from was_daemon.imaging.containers.block import FilePart, positions
from was_daemon.imaging.file_types import FileType
from was_daemon.imaging.orientation import stated_orientation
from was_daemon.imaging.picture import Picture
from was_daemon.imaging.pillow import decode
from was_daemon.model.errors import BrokenImage

_START = b"\xff\xd8\xff"
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Markers of frames as previews have them (ITU T.81, table B.1); the sensor's data are often a lossless JPEG, 0xC3."""

_WITHOUT_LENGTH = range(0xD0, 0xDB)
"""Markers that do not come before a frame, up to the start of the data."""

_MAX_STARTS = 1000
_MAX_SEGMENTS = 100
_MAX_TRIED = 4
_ROTATED = range(5, 9)


def read_preview(source: BinaryIO, box: int, max_pixels: int) -> Picture | None:
    """Return the largest JPEG in the file, with its orientation; None when there is none that can be decoded.

    Raises `BrokenImage` for too many pixels, and MemoryError.
    """
    starts = islice(positions(source, _START), _MAX_STARTS)
    found = sorted(((pixels, start) for start in starts if (pixels := _pixels(source, start))), reverse=True)
    end = source.seek(0, 2)
    for tolerant in (False, True):
        for _, start in found[:_MAX_TRIED]:
            preview = cast(BinaryIO, FilePart(source, start, end - start))
            try:
                picture = decode(preview, FileType.JPEG, box, max_pixels, tolerant)
            except (BrokenImage, MemoryError):
                raise
            except Exception:  # noqa: S112 - a damaged one raises anything
                continue
            own, stated = stated_orientation(preview), stated_orientation(source) or 1
            return attrs.evolve(picture, orientation=preview_orientation(own, stated, picture.image.size))
    return None


def _pixels(file: BinaryIO, start: int) -> int:
    """Return the number of pixels of the JPEG at `start`, 0 when it is none that a camera shows."""
    position = start + 2
    for _ in range(_MAX_SEGMENTS):
        file.seek(position)
        segment = file.read(9)
        if len(segment) < 9 or segment[0] != 0xFF or segment[1] in _WITHOUT_LENGTH:
            return 0
        marker, length, bits, height, width = struct.unpack(">xBHBHH", segment)
        if marker in _FRAMES:
            return height * width if bits == 8 else 0
        position += 2 + length
    return 0


def preview_orientation(own: int | None, stated: int, size: tuple[int, int]) -> int:
    """Return the orientation of a preview of `size`: its `own` by its EXIF, or else the one `stated` by the RAW file.

    Some cameras write a preview that is not turned, with EXIF of its own in which the orientation is 1.
    """
    width, height = size
    if own is None or (own == 1 and stated in _ROTATED and width > height):
        return stated
    return own
