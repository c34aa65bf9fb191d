"""Metadata in two forms that cameras used instead of EXIF: Sigma's properties, and Canon's CIFF (CRW files)."""

from collections.abc import Iterator
from datetime import UTC, datetime

from was_daemon.imaging.containers.block import MAX_BLOCK_BYTES, BinaryFile
from was_daemon.imaging.field import Field

_SIGMA_HEADER = 24
_SIGMA_NAMES = {
    "CAMMANUF": ("Image", "Make"),
    "CAMMODEL": ("Image", "Model"),
    "CAMSERIAL": ("EXIF", "BodySerialNumber"),
    "TIME": ("EXIF", "DateTimeOriginal"),
    "SH_DESC": ("EXIF", "ExposureTime"),
    "AP_DESC": ("EXIF", "FNumber"),
    "FLENGTH": ("EXIF", "FocalLength"),
    "ISO": ("EXIF", "ISOSpeedRatings"),
    "LENSMODEL": ("MakerNote", "LensType"),
    "LENSFRANGE": ("MakerNote", "LensFocalRange"),
    "LENSARANGE": ("MakerNote", "LensApertureRange"),
}
_CIFF_MAKE_MODEL, _CIFF_TIME = 0x080A, 0x180E
_CIFF_DIRECTORIES = (0x2800, 0x3000)
_IN_ENTRY = 0x4000
_EDITS, _EDITS_HEADER, _EDITS_FOOTER = b"CANON OPTIONAL DATA\0", 28, 64
_MAX_DEPTH = 4
_MAX_ENTRIES = 300


def read_sigma(file: BinaryFile) -> Iterator[Field]:
    """Yield the fields of the property list of an X3F file."""
    header = file.read(_SIGMA_HEADER)
    count = int.from_bytes(header[8:12], "little")
    offsets = file.read(8 * min(count, _MAX_ENTRIES))
    file.seek(_SIGMA_HEADER + 8 * count)
    texts = file.read(MAX_BLOCK_BYTES)
    for at in range(0, len(offsets) - 7, 8):
        name, value = (
            _sigma_text(texts, int.from_bytes(offsets[place : place + 4], "little")) for place in (at, at + 4)
        )
        if name in _SIGMA_NAMES:
            yield Field(*_SIGMA_NAMES[name], _date(int(value)) if name == "TIME" else value)


def _sigma_text(texts: bytes, offset: int) -> str:
    """Return the text at an offset in characters of UTF-16, up to its NUL."""
    return texts[2 * offset : 2 * offset + 2000].decode("utf-16-le", "ignore").split("\0", 1)[0]


def read_ciff(file: BinaryFile) -> Iterator[Field]:
    """Yield maker, model and date of a CRW file."""
    file.seek(2)
    start = int.from_bytes(file.read(4), "little")
    yield from _heap(file, start, _end_of_heap(file), _MAX_DEPTH)


def _end_of_heap(file: BinaryFile) -> int:
    """Return where the main heap ends: before the edits that Canon's software adds to a file."""
    end = file.seek(0, 2)
    file.seek(max(0, end - _EDITS_FOOTER))
    footer = file.read(24)
    if footer.startswith(_EDITS):
        end -= int.from_bytes(footer[20:], "big") + _EDITS_HEADER + _EDITS_FOOTER
    return end


def _heap(file: BinaryFile, start: int, end: int, depth: int) -> Iterator[Field]:
    """Yield the fields of a heap: its last four bytes tell where its directory is."""
    file.seek(end - 4)
    file.seek(start + int.from_bytes(file.read(4), "little"))
    directory = file.read(10 * min(int.from_bytes(file.read(2), "little"), _MAX_ENTRIES))
    for at in range(0, len(directory) - 9, 10):
        tag, size, offset = (
            int.from_bytes(directory[at + first : at + last], "little") for first, last in ((0, 2), (2, 6), (6, 10))
        )
        kind = tag & 0x3FFF
        if tag & _IN_ENTRY:
            value = directory[at + 2 : at + 10]
        elif tag & 0x3800 in _CIFF_DIRECTORIES:
            if depth:
                yield from _heap(file, start + offset, start + offset + size, depth - 1)
            continue
        else:
            file.seek(start + offset)
            value = file.read(min(size, 256))
        if kind == _CIFF_MAKE_MODEL:
            make, model = value.split(b"\0")[:2]
            yield Field("Image", "Make", make.decode("latin-1"))
            yield Field("Image", "Model", model.decode("latin-1"))
        elif kind == _CIFF_TIME:
            yield Field("EXIF", "DateTimeOriginal", _date(int.from_bytes(value[:4], "little")))


def _date(seconds: int) -> str:
    """Return a time of the camera's clock, which knows no time zone, in EXIF's form."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y:%m:%d %H:%M:%S")
