"""EXIF as Specify wants it (contract, section 3). Runs in a worker process."""

import importlib
import logging
from io import BytesIO
from typing import Any, BinaryIO

import exifread
from exifread.core.ifd_tag import IfdTag

from was_daemon.imaging.bounded import BoundedFile
from was_daemon.imaging.kinds import HEAD_SIZE, Kind, kind_of

logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

_CONTAINERS = {
    Kind.WEBP: ("PIL.WebPImagePlugin", "WebPImageFile"),
    Kind.AVIF: ("PIL.AvifImagePlugin", "AvifImageFile"),
    Kind.HEIF: ("pillow_heif", "HeifImageFile"),
}
"""Kinds whose EXIF is found by the library that opens them; ExifRead expects it at one place only."""

_MAX_BYTES = 1000
_MAX_BYTES_TOGETHER = 1_000_000
_MAX_NUMBERS = 16
"""A list of more numbers than this, that no one interprets, is binary data."""


def read_metadata(source: BinaryIO) -> list[dict[str, Any]]:
    """The EXIF of the file `source` as `[{"Name": group, "Fields": {tag: value, ...}}, ...]`, [] when there is none.

    The values are strings of printable characters, at most 1000 bytes of UTF-8 each and a megabyte together. Of damaged
    EXIF there is what can be read.
    """
    groups: dict[str, dict[str, str]] = {}
    left = _MAX_BYTES_TOGETHER
    for tag, value in _tags(source).items():
        group, _, field = tag.partition(" ")
        if field and not _is_binary(value) and left > 0:
            groups.setdefault(group, {})[field] = _printable(_text(value))
            left -= len(groups[group][field])
    return [{"Name": name, "Fields": fields} for name, fields in groups.items()]


def _tags(source: BinaryIO) -> dict[str, Any]:
    """ExifRead's tags; without those of the maker note when that is what cannot be read."""
    for details in (True, False):
        try:
            exif: Any = BoundedFile(_exif(source))
            return dict(exifread.process_file(exif, details=details, extract_thumbnail=False))
        except Exception:  # noqa: S112 - damaged EXIF makes ExifRead raise anything
            continue
    return {}


def _exif(file: BinaryIO) -> BinaryIO:
    """What ExifRead is to read: `file`, or the EXIF block in it as the small TIFF file that it is."""
    file.seek(0)
    kind = kind_of(file.read(HEAD_SIZE))
    if kind not in _CONTAINERS:
        return file
    module, name = _CONTAINERS[kind]
    file.seek(0)
    image = getattr(importlib.import_module(module), name)(file)
    return BytesIO(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))


def _is_binary(value: Any) -> bool:
    if not isinstance(value, IfdTag):
        return True
    return isinstance(value.values, list) and len(value.values) > _MAX_NUMBERS and str(value).startswith("[")


def _text(value: IfdTag) -> str:
    """ExifRead's words for `value`; it leaves text that is not UTF-8 as bytes."""
    return value.values.decode("latin-1") if isinstance(value.values, bytes) else str(value)


def _printable(value: str) -> str:
    text = "".join(character if character.isprintable() else " " for character in value).strip()
    return text.encode(errors="replace")[:_MAX_BYTES].decode(errors="ignore")
