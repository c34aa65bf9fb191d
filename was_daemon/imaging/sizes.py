"""Sizes of pictures, upright, from their headers."""

import struct
from contextlib import suppress
from posixpath import splitext
from typing import BinaryIO

from was_daemon.imaging import tiff
from was_daemon.imaging.file_types import HEAD_SIZE, RAW_EXTENSIONS, FileType, detect_file_type
from was_daemon.imaging.raw_preview import read_preview

_ANY_PIXELS = 1 << 40
_PREVIEW_BOX = 1
_TURNED = range(5, 9)
"""Orientations in which width and height change places."""

_FLIPPED = (5, 6)
"""LibRaw's numbers of them."""

_BMP_OLD_HEADER = 12

Size = tuple[int, int]


def upright_size(source: BinaryIO, name: str) -> Size | None:
    """Return width and height of the picture in the file `source`, which is called `name`.

    None for documents, whose pages have sizes of their own, and where the header does not tell.
    """
    source.seek(0)
    file_type = detect_file_type(source.read(HEAD_SIZE))
    if file_type is None or file_type is FileType.PDF:
        return None
    with suppress(Exception):  # a damaged file makes whatever reads it raise anything
        if file_type is FileType.RAW or (file_type is FileType.TIFF and _may_be_raw(source, name)):
            size = _size_of_raw(source)
            if size:
                return size
    with suppress(Exception):
        from was_daemon.imaging.pillow import upright_size_by_pillow

        return upright_size_by_pillow(source, file_type)
    with suppress(Exception):
        return _size_in_header(source, file_type)
    return None


def _may_be_raw(source: BinaryIO, name: str) -> bool:
    return splitext(name)[1].lower() in RAW_EXTENSIONS or tiff.is_raw(tiff.directories(source))


def _size_of_raw(source: BinaryIO) -> Size | None:
    """Return the size of what the camera took; where LibRaw is missing or does not know it, of the largest preview."""
    with suppress(Exception):
        import rawpy

        source.seek(0)
        with rawpy.imread(source) as raw:
            size = raw.sizes.width, raw.sizes.height
            return size[::-1] if raw.sizes.flip in _FLIPPED else size
    picture = read_preview(source, _PREVIEW_BOX, _ANY_PIXELS)
    if not picture or not picture.size:
        return None
    return picture.size[::-1] if picture.orientation in _TURNED else picture.size


def _size_in_header(source: BinaryIO, file_type: FileType) -> Size | None:
    """Return the size of a file that Pillow does not open."""
    source.seek(0)
    head = source.read(HEAD_SIZE)
    if file_type is FileType.PSD:
        height, width = struct.unpack_from(">II", head, 14)
        return width, height
    if file_type is FileType.BMP:
        (header_size,) = struct.unpack_from("<I", head, 14)
        width, height = struct.unpack_from("<HH" if header_size == _BMP_OLD_HEADER else "<ii", head, 18)
        return width, abs(height)
    if file_type is FileType.JPEG:
        from was_daemon.imaging.vips import stream_jpeg

        rows = stream_jpeg(source, _ANY_PIXELS, tolerant=True)
        size = rows.image.width, rows.image.height
        return size[::-1] if rows.orientation in _TURNED else size
    return None
