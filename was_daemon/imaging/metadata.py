"""EXIF metadata in the shape that Specify expects (contract, section 3)."""

import importlib
import logging
from io import BytesIO
from typing import Any, BinaryIO

import exifread
from exifread.core.ifd_tag import IfdTag

from was_daemon.imaging.bounded_file import BoundedFile
from was_daemon.imaging.file_types import HEAD_SIZE, FileType, detect_file_type

logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

_CONTAINERS = {
    FileType.WEBP: ("PIL.WebPImagePlugin", "WebPImageFile"),
    FileType.AVIF: ("PIL.AvifImagePlugin", "AvifImageFile"),
    FileType.HEIF: ("pillow_heif", "HeifImageFile"),
}
"""File types whose EXIF block Pillow finds wherever it is; ExifRead looks in one place only."""

_MAX_VALUE_BYTES = 1000
_MAX_TOTAL_BYTES = 1_000_000
_MAX_NUMBERS = 16
"""Length above which a list of numbers that ExifRead does not interpret counts as binary data."""


def read_metadata(source: BinaryIO) -> list[dict[str, Any]]:
    """Return the EXIF of the file `source` as `[{"Name": group, "Fields": {tag: value, ...}}, ...]`, [] without any.

    Values are strings of printable characters, at most 1000 bytes of UTF-8 each and 1 MB in all. Damaged EXIF yields
    the tags that can be read.
    """
    groups: dict[str, dict[str, str]] = {}
    left = _MAX_TOTAL_BYTES
    for tag, value in _tags(source).items():
        group, _, field = tag.partition(" ")
        if field and not _is_binary(value) and left > 0:
            groups.setdefault(group, {})[field] = _printable(_text(value))
            left -= len(groups[group][field])
    return [{"Name": name, "Fields": fields} for name, fields in groups.items()]


def _tags(source: BinaryIO) -> dict[str, Any]:
    """Return ExifRead's tags; when reading fails, try again without the maker note."""
    for details in (True, False):
        try:
            exif: Any = BoundedFile(_exif(source))
            return dict(exifread.process_file(exif, details=details, extract_thumbnail=False))
        except Exception:  # noqa: S112 - damaged EXIF makes ExifRead raise anything
            continue
    return {}


def _exif(file: BinaryIO) -> BinaryIO:
    """Return the file that ExifRead is to read: `file` itself, or its EXIF block, which is a TIFF file."""
    file.seek(0)
    file_type = detect_file_type(file.read(HEAD_SIZE))
    if file_type not in _CONTAINERS:
        return file
    module, name = _CONTAINERS[file_type]
    file.seek(0)
    image = getattr(importlib.import_module(module), name)(file)
    return BytesIO(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))


def _is_binary(value: Any) -> bool:
    if not isinstance(value, IfdTag):
        return True
    return isinstance(value.values, list) and len(value.values) > _MAX_NUMBERS and str(value).startswith("[")


def _text(value: IfdTag) -> str:
    """Return ExifRead's text for `value`; text that is not UTF-8, which it leaves as bytes, is decoded as Latin-1."""
    return value.values.decode("latin-1") if isinstance(value.values, bytes) else str(value)


def _printable(value: str) -> str:
    text = "".join(character if character.isprintable() else " " for character in value).strip()
    return text.encode(errors="replace")[:_MAX_VALUE_BYTES].decode(errors="ignore")
