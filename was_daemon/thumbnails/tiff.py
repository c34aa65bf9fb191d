"""What a TIFF file holds besides its first page: reduced versions of it, or a camera's RAW data."""

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SUBFILE_TYPE = 254
_SUB_IFDS = 330
_DNG_VERSION = 50706
_REDUCED = 1
_MAX_DIRECTORIES = 64


def directories(source: str) -> list[ImageFileDirectory_v2]:
    """The directories of the TIFF file at `source`, the first page's first, as far as they can be read."""
    found: list[ImageFileDirectory_v2] = []
    with Path(source).open("rb") as file, suppress(Exception):  # damaged directories raise anything
        header = file.read(8)
        header += file.read(8) if 43 in header[2:4] else b""  # BigTIFF
        directory = ImageFileDirectory_v2(header)
        while directory.next and len(found) < _MAX_DIRECTORIES:
            directory = _load(file, header, directory.next)
            found.append(directory)
    return found


def is_raw(directories: list[ImageFileDirectory_v2]) -> bool:
    """Whether these are the directories of a DNG, or of a RAW file: a tiny picture first, the real ones below it."""
    if not directories:
        return False
    first = directories[0]
    return _DNG_VERSION in first or (_is_reduced(first) and _SUB_IFDS in first)


def levels(directories: list[ImageFileDirectory_v2]) -> list[dict[str, int]]:
    """The libvips options (page, subifd) of what the file says are reduced versions of its first page."""
    if not directories:
        return []
    pages = [{"page": number} for number, page in enumerate(directories) if number and _is_reduced(page)]
    return pages + [{"subifd": number} for number in range(len(directories[0].get(_SUB_IFDS, ())))]


def _load(file: BinaryIO, header: bytes, offset: int) -> ImageFileDirectory_v2:
    directory = ImageFileDirectory_v2(header)
    file.seek(offset)
    directory.load(file)
    return directory


def _is_reduced(directory: ImageFileDirectory_v2) -> bool:
    return bool(int(directory.get(_SUBFILE_TYPE, 0)) & _REDUCED)
