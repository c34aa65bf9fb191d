"""Directories of a TIFF file (TIFF 6.0, section 2; BigTIFF; Exif 3.0, section 4.6.2), which EXIF blocks are, too."""

import copy
import struct
from collections.abc import Iterator
from typing import Any

import attrs

from was_daemon.imaging.containers.block import BinaryFile, FilePart

BYTES, TEXT, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_RATIONAL, UTF8 = 1, 2, 3, 4, 5, 7, 10, 129
TEXTS = (TEXT, UTF8)
RATIONALS = (RATIONAL, SIGNED_RATIONAL)
_OCTETS = (BYTES, UNDEFINED, *TEXTS)
_FORMATS = (
    dict.fromkeys(_OCTETS, "s")
    | {SHORT: "H", LONG: "I", RATIONAL: "II", SIGNED_RATIONAL: "ii"}
    | {6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
)
"""What `struct` calls one value of each field type; the types from 16 on are BigTIFF's."""

_MAX_NUMBERS = 1000
_MAX_OCTETS = 4000
_MAX_ENTRIES = 1000
_BIG = 43


class NotTiff(ValueError):
    """The file does not start like a TIFF file."""


@attrs.frozen
class Entry:
    """Entry of a directory: `count` values of field type `type`, which begin at `position` in the file."""

    tag: int
    type: int
    count: int
    position: int

    @property
    def size(self) -> int:
        """Number of bytes of all values."""
        return self.count * struct.calcsize("=" + _FORMATS[self.type])


class TiffFile:
    """TIFF or BigTIFF file that starts at the beginning of `file`; raises `NotTiff`.

    The number after the byte order is 42, but cameras have others: only BigTIFF's means something.
    """

    def __init__(self, file: BinaryFile) -> None:
        self.file = file
        file.seek(0)
        header = file.read(16)
        self.order = {b"II": "<", b"MM": ">"}.get(header[:2], "")
        if not self.order or len(header) < 8:
            raise NotTiff
        (version,) = struct.unpack_from(self.order + "H", header, 2)
        is_big = version == _BIG and len(header) == 16
        self._count, self._entry, self._offset = (
            struct.Struct(self.order + form) for form in (("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I"))
        )
        (self.first,) = self._offset.unpack_from(header, 8 if is_big else 4)

    def directory(self, offset: int) -> tuple[list[Entry], int]:
        """Return the entries of the directory at `offset`, as far as the file has them, and the next one's offset."""
        self.file.seek(offset)
        head = self.file.read(self._count.size)
        if len(head) < self._count.size:
            return [], 0
        (count,) = self._count.unpack(head)
        position = offset + self._count.size
        table = self.file.read(min(count, _MAX_ENTRIES) * self._entry.size)
        self.file.seek(position + count * self._entry.size)
        tail = self.file.read(self._offset.size)
        following = self._offset.unpack(tail)[0] if len(tail) == self._offset.size else 0
        return list(self._entries(table, position)), following

    def _entries(self, table: bytes, position: int) -> Iterator[Entry]:
        """Yield the entries in the `table` at `position` whose field type is known."""
        for at in range(0, len(table) - self._entry.size + 1, self._entry.size):
            tag, field_type, count, value = self._entry.unpack_from(table, at)
            if field_type not in _FORMATS:
                continue
            # A small value takes the place of its offset, at the end of the entry.
            entry = Entry(tag, field_type, count, position + at + self._entry.size - len(value))
            if entry.size > len(value):
                entry = attrs.evolve(entry, position=self._offset.unpack(value)[0])
            yield entry

    def relative_to(self, start: int) -> "TiffFile":
        """Return this file as a part of it sees it whose offsets count from `start`."""
        part = copy.copy(self)
        part.file = FilePart(self.file, start, self.file.seek(0, 2) - start)
        return part

    def octets(self, entry: Entry, most: int = _MAX_OCTETS) -> bytes:
        """Return the first bytes of an entry's values."""
        self.file.seek(entry.position)
        return self.file.read(min(entry.size, most))

    def numbers(self, entry: Entry) -> list[Any]:
        """Return an entry's values, at most 1000, as far as the file has them; rationals are pairs."""
        if entry.type in _OCTETS:
            return list(self.octets(entry, _MAX_NUMBERS))
        value = struct.Struct(self.order + _FORMATS[entry.type])
        data = self.octets(entry, _MAX_NUMBERS * value.size)
        rows = value.iter_unpack(data[: len(data) // value.size * value.size])
        return [row if entry.type in RATIONALS else row[0] for row in rows]
