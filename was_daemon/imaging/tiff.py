"""Structure of a TIFF file: its first page, reduced versions of it, or a camera's RAW data."""

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from mmap import ACCESS_COPY, mmap
from typing import Any, BinaryIO

import attrs
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from was_daemon.imaging.containers.ifd import TiffFile

WHITE_OF_16_BITS = 0xFFFF
ASSOCIATED_ALPHA = 1
"""Value of ExtraSamples for alpha by which the colours are multiplied."""

_SUBFILE_TYPE = 254
_WIDTH, _HEIGHT = 256, 257
_BITS = 258
_COMPRESSION = 259
_PHOTOMETRIC = 262
_ORIENTATION = 274
_SAMPLES = 277
_MAX_SAMPLE = 281
_PLANES = 284
_EXTRA_SAMPLES = 338
_GDAL_NODATA = 42113
_SUB_IFDS = 330
_SAMPLE_MAXIMUM = 341
_SUBSAMPLING = 530
_DNG_VERSION = 50706
_OF_PAGES = (_SUBFILE_TYPE, _WIDTH, _HEIGHT, _ORIENTATION)
_TURNED = range(5, 9)
"""Orientations in which width and height change places."""

_REDUCED = 1
_MAX_DIRECTORIES = 64
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED, _YCBCR, _ICC_LAB = 0, 1, 2, 5, 6, 9
_ALPHA = (ASSOCIATED_ALPHA, 2)
"""Values of ExtraSamples for alpha: colours are multiplied by it, or not."""

_SEPARATE = 2
"""Value of PlanarConfiguration for samples that are stored one after the other."""

_SAID_OF_PLANES = {_PHOTOMETRIC: _RGB, _EXTRA_SAMPLES: 0}

_YCBCR_DEPTHS = (8,)
_DEPTHS = (*_YCBCR_DEPTHS, 16, 32)
_GREY_DEPTHS = (1, 2, 4, *_DEPTHS)
"""Bits per sample that libvips or Pillow read with one sample per pixel; `_DEPTHS` with several, but for YCbCr."""

_WHITES = frozenset(2**bits - 1 for bits in range(9, 16))
"""Largest numbers of samples of 9 to 15 bits."""

_OLD_JPEG, _NEW_JPEG = _JPEG = (6, 7)
_UNSUPPORTED = {
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    34661: "JBIG",
    34887: "LERC",
}
"""Compressions that neither libvips nor Pillow reads."""


@attrs.frozen
class Page:
    """Properties of the first page that libvips does not report.

    `levels` are libvips' options (page, subifd) that load the reduced versions of the page; `extra` is the meaning of
    the samples after the colours (0: unspecified, None: not stated); `negative` is True when the lowest number is
    white; `no_data` is the number that stands for no measurement; `photometric` is the meaning of the colours.
    `white` is the largest number that samples of 16 bits have. `is_grey_in_planes` is True when grey and the further
    samples are stored one after the other.
    """

    levels: list[dict[str, int]]
    extra: int | None
    negative: bool
    no_data: float | None
    photometric: int | None
    white: int = WHITE_OF_16_BITS
    is_grey_in_planes: bool = False

    @property
    def is_icc_lab(self) -> bool:
        """Whether the colours are LAB as ICC profiles have it, of which libvips makes red, green and blue."""
        return self.photometric == _ICC_LAB

    def is_opaque(self, bands: int) -> bool:
        """Return whether the band after three colours is not alpha. A single one without a meaning usually is."""
        if bands < 4 or self.photometric == _SEPARATED or self.extra in _ALPHA:
            return False
        return bands > 4 or self.extra is not None


_UNKNOWN = Page([], None, False, None, None)


def directories(source: BinaryIO) -> list[ImageFileDirectory_v2]:
    """Return the directories of the TIFF file `source`, the first page's first, as far as they can be read."""
    found: list[ImageFileDirectory_v2] = []
    with suppress(Exception):  # damaged directories raise anything
        header = _header(source)
        directory = ImageFileDirectory_v2(header)
        while directory.next and len(found) < _MAX_DIRECTORIES:
            directory = _load_directory(source, header, directory.next)
            found.append(directory)
    return found


def is_raw(directories: list[ImageFileDirectory_v2]) -> bool:
    """Return whether these are the directories of a DNG or RAW file: a reduced picture first, with others below it."""
    if not directories:
        return False
    first = directories[0]
    return _DNG_VERSION in first or (_is_reduced(first) and _SUB_IFDS in first)


def unsupported_reason(directories: list[ImageFileDirectory_v2]) -> str | None:
    """Return why no reader can read the first page, or None when its tags do not rule that out."""
    if not directories:
        return None
    compression, bits = _number(directories[0], _COMPRESSION), _number(directories[0], _BITS)
    if compression in _UNSUPPORTED:
        return f"TIFF in {_UNSUPPORTED[compression]} compression is not supported"
    if compression in _JPEG and bits == 12:
        return "TIFF in 12-bit JPEG compression is not supported"
    return "TIFF of 64 bits per sample is not supported" if bits in (64, 128) else None


def unusual_form(directories: list[ImageFileDirectory_v2]) -> str | None:
    """Return why readers have failed at the first page if its form explains that, or None.

    Readers are asked first: some forms are read in one byte order or compression only.
    """
    if not directories:
        return None
    first = directories[0]
    depths, samples = first.get(_BITS, (1,)), _number(first, _SAMPLES) or 1
    is_ycbcr = _number(first, _PHOTOMETRIC) == _YCBCR
    if is_ycbcr and _number(first, _PLANES) == _SEPARATE:
        return "TIFF in YCbCr with separate planes is not supported"
    if len(set(depths)) > 1:
        return "TIFF with samples of different depths is not supported"
    bits = depths[0]
    if is_ycbcr:
        return None if bits in _YCBCR_DEPTHS else f"TIFF in YCbCr with {bits}-bit samples is not supported"
    if samples > 1:
        return None if bits in _DEPTHS else f"TIFF with several {bits}-bit samples per pixel is not supported"
    return None if bits in _GREY_DEPTHS else f"TIFF with {bits}-bit samples is not supported"


def is_misread_by_libvips(directories: list[ImageFileDirectory_v2]) -> bool:
    """Return whether libvips gives nothing, or wrong colours, for the first page without saying so.

    It does for JPEG in the form of TIFF 6.0 in tiles, and takes whole lightness and colours for red, green and blue.
    """
    if not directories:
        return False
    first = directories[0]
    compression = _number(first, _COMPRESSION)
    is_unsampled = tuple(first.get(_SUBSAMPLING, ())) == (1, 1)
    is_plain = _number(first, _PHOTOMETRIC) == _YCBCR and is_unsampled and compression != _NEW_JPEG
    return compression == _OLD_JPEG or is_plain


def first_page(directories: list[ImageFileDirectory_v2]) -> Page:
    """Return the properties of the first page."""
    page = _page(directories[0]) if directories else _UNKNOWN
    # Their planes would be read as those of the page.
    has_levels = directories and not page.is_grey_in_planes
    return attrs.evolve(page, levels=_levels(directories) if has_levels else [])


def page_in(source: BinaryIO, number: int) -> Page:
    """Return the properties of the page in a directory, without its reduced versions; 0 is the first directory."""
    with suppress(Exception):  # damaged directories raise anything
        file = TiffFile(source)
        offset = file.first
        for _ in range(number):
            offset = file.directory(offset)[1]
        if offset:
            return _page(_load_directory(source, _header(source), offset))
    return _UNKNOWN


def _page(directory: ImageFileDirectory_v2) -> Page:
    photometric = _number(directory, _PHOTOMETRIC)
    is_in_planes = _number(directory, _PLANES) == _SEPARATE and (_number(directory, _SAMPLES) or 1) > 1
    return Page(
        [],
        _number(directory, _EXTRA_SAMPLES),
        photometric == _WHITE_IS_ZERO,
        no_data(directory),
        photometric,
        white(directory),
        is_in_planes and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO),
    )


def as_colours(source: BinaryIO, number: int) -> mmap:
    """Return a TIFF, in a private mapping, whose page in a directory is said to be of colours, not of grey in planes.

    libvips reads planes of colours, however many, and takes those of grey for rows of samples. It is also told nothing
    of alpha: it would divide grey by it as if both had 8 bits. Raises ValueError.
    """
    file = TiffFile(source)
    entries, following = file.directory(file.first)
    for _ in range(number):
        entries, following = file.directory(following)
    data = mmap(source.fileno(), 0, access=ACCESS_COPY)
    for entry in entries:
        if entry.tag in _SAID_OF_PLANES:
            struct.pack_into(f"{file.order}H", data, entry.position, _SAID_OF_PLANES[entry.tag])
    return data


def page_directories(source: BinaryIO, count: int) -> list[int]:
    """Return the numbers of the directories that hold a page of its own, of `count` directories in the file.

    Those that cannot be read are taken for pages.
    """
    reduced = set[int]()
    with suppress(OSError, OverflowError, ValueError):
        for number, entries in enumerate(islice(_entries_of_pages(source), count)):
            if number and (_number(entries, _SUBFILE_TYPE) or 0) & _REDUCED:
                reduced.add(number)
    return [number for number in range(count) if number not in reduced]


def upright_sizes(source: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the width and height of the picture in each directory, upright; raises KeyError where there is none."""
    for entries in _entries_of_pages(source):
        size = entries[_WIDTH], entries[_HEIGHT]
        yield size[::-1] if entries.get(_ORIENTATION) in _TURNED else size


def _entries_of_pages(source: BinaryIO) -> Iterator[dict[int, Any]]:
    """Yield the first numbers of the entries `_OF_PAGES` of each directory, however many there are."""
    file = TiffFile(source)
    following = file.first
    while following:
        entries, following = file.directory(following)
        yield {entry.tag: (file.numbers(entry) or [0])[0] for entry in entries if entry.tag in _OF_PAGES}


def no_data(directory: Mapping[int, Any]) -> float | None:
    """Return GDAL's number for no measurement, or None."""
    with suppress(TypeError, ValueError):
        return float(str(directory.get(_GDAL_NODATA)).strip(" \0"))
    return None


def white(directory: Mapping[int, Any]) -> int:
    """Return the largest number that samples of 16 bits have, by the number of bits that the directory declares.

    Cameras of microscopes store 12 bits in 16. A largest number that is no depth is a statistic of this picture, which
    shall not change how it is shown (TIFF 6.0, section 8).
    """
    for tag in (_MAX_SAMPLE, _SAMPLE_MAXIMUM):
        number = _number(directory, tag) or 0
        if number in _WHITES:
            return number
    return WHITE_OF_16_BITS


def _number(directory: Mapping[int, Any], tag: int) -> int | None:
    """Return the first number of an entry, or None."""
    value = directory.get(tag)
    number = value[0] if isinstance(value, tuple) and value else value
    return number if isinstance(number, int) else None


def _levels(directories: list[ImageFileDirectory_v2]) -> list[dict[str, int]]:
    pages = [{"page": number} for number, page in enumerate(directories) if number and _is_reduced(page)]
    return pages + [{"subifd": number} for number in range(len(directories[0].get(_SUB_IFDS, ())))]


def _header(source: BinaryIO) -> bytes:
    source.seek(0)
    header = source.read(8)
    return header + source.read(8) if 43 in header[2:4] else header  # BigTIFF


def _load_directory(file: BinaryIO, header: bytes, offset: int) -> ImageFileDirectory_v2:
    directory = ImageFileDirectory_v2(header)
    file.seek(offset)
    directory.load(file)
    return directory


def _is_reduced(directory: ImageFileDirectory_v2) -> bool:
    return bool(int(directory.get(_SUBFILE_TYPE, 0)) & _REDUCED)
