"""EXIF of a TIFF file or EXIF block, under ExifRead's names and in its forms (`docs/metadata.md`)."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from exifread.core.exif_header import ExifHeader
from exifread.core.ifd_tag import IfdTag
from exifread.tags.exif import EXIF_TAGS, GPS_TAGS
from exifread.tags.fields import FieldType
from exifread.tags.makernote import canon
from exifread.utils import Ratio

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.imaging.containers.ifd import BYTES, TEXTS, UNDEFINED, Entry, TiffFile
from was_daemon.imaging.field import Field

logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

_MAKE, _MODEL = 0x010F, 0x0110
_EXIF, _MAKER_NOTE = 0x8769, 0x927C
_NOT_FIELDS = frozenset({0x02BC, 0x83BB, 0x8649, 0x8773, _MAKER_NOTE})
"""Tags with XMP, IPTC, Photoshop's resources, a colour profile or the maker note."""

_COMMENTS = frozenset({0x001B, 0x001C, 0x9286})
"""Texts of the GPS and the Exif IFD that begin with the name of their encoding (Exif 3.0, section 4.6.6.4)."""

_ENCODINGS = {b"ASCII\0\0\0": "ascii", b"JIS\0\0\0\0\0": "iso2022_jp", bytes(8): "utf-8"}
_UNICODE = b"UNICODE\0"
_WINDOWS_TEXTS = range(0x9C9B, 0x9CA0)
"""Texts of Windows, which are UTF-16 and declared as bytes."""

_LACKING = {0x001F: ("GPSHPositioningError", None)}
"""Tags of the GPS IFD that ExifRead does not know."""

_MAX_NUMBERS = 16
"""Length above which a list of numbers that no table explains counts as binary data."""

_SONY = (b"SONY DSC ", b"SONY CAM ")
_MISREAD = (b"OLYMPUS\0", b"OM SYSTEM\0", b"QVC\0")
"""Beginnings of maker notes in newer forms, which ExifRead takes for the makers' older ones."""

_OLYMPUS_EQUIPMENT, _OLYMPUS_LENS, _PANASONIC_LENS = 0x2010, 0x0203, 0x0051


def read_exif(file: BinaryFile) -> Iterator[Field]:
    """Yield the fields of a TIFF file: of its first two directories, the Exif and the GPS IFD, and the maker note."""
    tiff = TiffFile(file)
    main, following = tiff.directory(tiff.first)
    yield from _fields(tiff, main, "Image", EXIF_TAGS)
    for pointer in _entries(main, _EXIF):
        exif = _directory_at(tiff, pointer)
        yield from _fields(tiff, exif, "EXIF", EXIF_TAGS)
        for note in _entries(exif, _MAKER_NOTE):
            yield from _maker_note(tiff, note, _first_text(tiff, main, _MAKE), _first_text(tiff, main, _MODEL))
    if following:
        yield from _fields(tiff, tiff.directory(following)[0], "Thumbnail", EXIF_TAGS)


def read_exif_directory(file: BinaryFile) -> Iterator[Field]:
    """Yield the fields of a TIFF file whose first directory is the Exif IFD."""
    return _first_directory(file, "EXIF", EXIF_TAGS)


def read_gps_directory(file: BinaryFile) -> Iterator[Field]:
    """Yield the fields of a TIFF file whose first directory is the GPS IFD."""
    return _first_directory(file, "GPS", GPS_TAGS)


def read_canon_directory(file: BinaryFile) -> Iterator[Field]:
    """Yield the fields of a TIFF file whose first directory is Canon's maker note."""
    return _first_directory(file, "MakerNote", canon.TAGS)


def _first_directory(file: BinaryFile, group: str, names: dict[int, Any]) -> Iterator[Field]:
    tiff = TiffFile(file)
    yield from _fields(tiff, tiff.directory(tiff.first)[0], group, names)


def _entries(directory: list[Entry], tag: int) -> list[Entry]:
    return [entry for entry in directory if entry.tag == tag][:1]


def _first_text(tiff: TiffFile, directory: list[Entry], tag: int) -> str:
    return "".join(_plain_text(tiff, entry) for entry in _entries(directory, tag))


def _fields(tiff: TiffFile, directory: list[Entry], group: str, names: dict[int, Any]) -> Iterator[Field]:
    """Yield the fields of a directory, and of those that ExifRead's table `names` finds below it."""
    for entry in directory:
        if entry.tag in _NOT_FIELDS:
            continue
        unknown = _LACKING.get(entry.tag) if names is GPS_TAGS else None
        name, meaning = names.get(entry.tag) or unknown or (f"Tag 0x{entry.tag:04X}", None)
        text = ""
        with suppress(Exception):  # a damaged value makes ExifRead's functions raise anything
            text = _text(tiff, entry, meaning)
        if text:
            yield Field(group, name, text)
        if isinstance(meaning, tuple):
            yield from _fields(tiff, _directory_at(tiff, entry), *meaning)


def _directory_at(tiff: TiffFile, pointer: Entry) -> list[Entry]:
    """Return the directory that an entry points to, [] when there is none."""
    with suppress(OSError, OverflowError, TypeError, ValueError):
        for offset in tiff.numbers(pointer)[:1]:
            return tiff.directory(offset)[0]
    return []


def _text(tiff: TiffFile, entry: Entry, meaning: Any) -> str:
    """Return the text of an entry's values, "" for binary data; `meaning` is that of ExifRead's table."""
    if entry.type in TEXTS:
        return _plain_text(tiff, entry)
    if entry.tag in _COMMENTS and entry.type in (BYTES, UNDEFINED):
        return _comment(tiff.octets(entry), tiff.order)
    if entry.tag in _WINDOWS_TEXTS:
        return tiff.octets(entry).decode("utf-16-le", "replace").rstrip("\0")
    values = [_number(value) for value in tiff.numbers(entry)]
    if callable(meaning):
        return str(meaning(values))
    if isinstance(meaning, dict):
        return "".join(str(meaning.get(value, value)) for value in values)
    if entry.type in (BYTES, UNDEFINED) and len(values) > 1 and (text := _ascii(tiff.octets(entry))):
        return text
    if len(values) == 1:
        return str(values[0])
    return str(values) if 0 < len(values) <= _MAX_NUMBERS else ""


def _number(value: Any) -> Any:
    """Return a rational as a fraction in lowest terms, and a whole number as an integer."""
    if isinstance(value, tuple):
        return Ratio(*value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain_text(tiff: TiffFile, entry: Entry) -> str:
    """Return the text up to the first NUL; what is not UTF-8 is Latin-1, which older cameras and programs write."""
    text = tiff.octets(entry).split(b"\0", 1)[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _comment(data: bytes, order: str) -> str:
    encoding, text = data[:8], data[8:]
    if encoding == _UNICODE:
        # Not always in the order of the file: most letters have an upper byte of zero.
        upper, lower = text[::2].count(0), text[1::2].count(0)
        is_little = order == "<" if upper == lower else upper < lower
        return text.decode("utf-16-le" if is_little else "utf-16-be", "replace").rstrip("\0")
    if encoding not in _ENCODINGS:
        encoding, text = bytes(8), data
    return text.rstrip(b"\0").decode(_ENCODINGS[encoding], "replace")


def _ascii(data: bytes) -> str:
    """Return data that is text, as version numbers are; "" for all else."""
    text = data.rstrip(b"\0").decode("latin-1")
    return text if len(text) > 1 and text.isascii() and text.isprintable() else ""


def _maker_note(tiff: TiffFile, note: Entry, make: str, model: str) -> Iterator[Field]:
    """Yield the fields of a maker note as far as ExifRead knows the maker, and the lens of some others."""
    file: Any = tiff.file  # ExifRead wants a `BinaryIO`, and reads and seeks
    header = ExifHeader(file, "I" if tiff.order == "<" else "M", 0, 0, strict=False, detailed=True)
    beginning = tiff.octets(note, 64)
    # Sony's directory follows a name of 12 bytes in compact cameras, of which ExifRead does not know.
    start = note.position + (12 if beginning.startswith(_SONY) else 0)
    header.tags = {
        "Image Make": IfdTag(make, _MAKE, FieldType.ASCII, make, 0, 0),
        "Image Model": IfdTag(model, _MODEL, FieldType.ASCII, model, 0, 0),
        "EXIF MakerNote": IfdTag("", _MAKER_NOTE, FieldType.UNDEFINED, list(beginning), start, note.size),
    }
    with suppress(Exception):  # a damaged note makes ExifRead raise anything
        if not beginning.startswith(_MISREAD):
            header.decode_maker_note()
    for name, tag in header.tags.items():
        group, _, field = name.partition(" ")
        if group == "MakerNote" and isinstance(tag, IfdTag) and not _is_binary(tag):
            yield Field(group, field.strip(), _tag_text(tag))
    yield from _lens(tiff, note)


def _is_binary(tag: IfdTag) -> bool:
    values = tag.values
    return isinstance(values, list) and (not values or (len(values) > _MAX_NUMBERS and str(tag).startswith("[")))


def _tag_text(tag: IfdTag) -> str:
    return tag.values.decode("latin-1") if isinstance(tag.values, bytes) else str(tag)


def _lens(tiff: TiffFile, note: Entry) -> Iterator[Field]:
    """Yield the name of the lens from notes that ExifRead does not read: those of Olympus, OM System and Panasonic."""
    head = tiff.octets(note, 16)
    name = ""
    if head.startswith(b"Panasonic\0"):
        name = _first_text(tiff, tiff.directory(note.position + 12)[0], _PANASONIC_LENS)
    elif head.startswith(b"OLYMP\0"):
        name = _olympus_lens(tiff, note.position + 8)
    elif head.startswith(b"OLYMPUS\0"):
        name = _olympus_lens(tiff.relative_to(note.position), 12)
    elif head.startswith(b"OM SYSTEM\0"):
        name = _olympus_lens(tiff.relative_to(note.position), 16)
    if name.strip():
        yield Field("MakerNote", "LensModel", name)


def _olympus_lens(tiff: TiffFile, offset: int) -> str:
    for equipment in _entries(tiff.directory(offset)[0], _OLYMPUS_EQUIPMENT):
        is_here = equipment.type == UNDEFINED
        directory = tiff.directory(equipment.position)[0] if is_here else _directory_at(tiff, equipment)
        return _first_text(tiff, directory, _OLYMPUS_LENS)
    return ""
