"""Metadata of a file in the shape that Specify expects (contract, section 3): EXIF, and XMP and IPTC beside it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, BinaryIO

from was_daemon.imaging.bounded_file import BoundedFile
from was_daemon.imaging.containers.block import BinaryFile, BlockKind
from was_daemon.imaging.containers.find import find_blocks
from was_daemon.imaging.exif import read_canon_directory, read_exif, read_exif_directory, read_gps_directory
from was_daemon.imaging.field import Field
from was_daemon.imaging.iptc import read_iptc
from was_daemon.imaging.raw_properties import read_ciff, read_sigma
from was_daemon.imaging.xmp import read_xmp

_READERS: dict[BlockKind, Callable[[BinaryFile], Iterator[Field]]] = {
    BlockKind.TIFF: read_exif,
    BlockKind.EXIF_DIRECTORY: read_exif_directory,
    BlockKind.GPS_DIRECTORY: read_gps_directory,
    BlockKind.CANON_DIRECTORY: read_canon_directory,
    BlockKind.XMP: read_xmp,
    BlockKind.IPTC: read_iptc,
    BlockKind.SIGMA: read_sigma,
    BlockKind.CIFF: read_ciff,
}

_LISTING = ("XMP", "IPTC")
_SEPARATOR = "; "
_MAX_VALUE_BYTES = 1000
_MAX_TOTAL_BYTES = 1_000_000
_MAX_FIELDS = 2000
"""Fields of one block that are looked at; honest ones have some hundred."""


def read_metadata(source: BinaryIO) -> list[dict[str, Any]]:
    """Return the metadata of the file `source` as `[{"Name": group, "Fields": {name: value, ...}}, ...]`.

    Values are strings of printable characters, at most 1000 bytes of UTF-8 each and 1 MB in all. Of a damaged file
    these are the fields that can be read; [] without any.
    """
    groups: dict[str, dict[str, str]] = {}
    left = _MAX_TOTAL_BYTES
    for block in _fields(BoundedFile(source)):
        # What an earlier block says counts: the picture's own EXIF comes before that of a preview in it.
        found: dict[tuple[str, str], list[str]] = {}
        for field in block:
            found.setdefault((field.group, field.name), []).append(_printable(field.text))
        for (group, name), texts in found.items():
            # What is listed, such as keywords, is one text; EXIF lists nothing, so there the first counts.
            value = _cut(_SEPARATOR.join(dict.fromkeys(filter(None, texts))) if group in _LISTING else texts[0])
            if value and left > 0 and name not in groups.get(group, {}):
                groups.setdefault(group, {})[name] = value
                left -= len(value)
    return [{"Name": name, "Fields": fields} for name, fields in groups.items()]


def _fields(file: BinaryFile) -> Iterator[list[Field]]:
    """Yield the fields of each block, as far as they can be read."""
    with suppress(Exception):  # a damaged file makes whatever reads it raise anything
        for block in find_blocks(file):
            fields: list[Field] = []
            with suppress(Exception):
                fields.extend(islice(_READERS[block.kind](block.file), _MAX_FIELDS))
            yield fields


def _printable(value: str) -> str:
    return "".join(character if character.isprintable() else " " for character in value).strip()


def _cut(value: str) -> str:
    return value.encode(errors="replace")[:_MAX_VALUE_BYTES].decode(errors="ignore")
