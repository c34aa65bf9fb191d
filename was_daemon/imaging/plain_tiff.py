"""TIFF files of strips one after the other, made while libvips reads them: the form in which it takes pixels, row by
row, from a Python program (BigTIFF)."""

import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from io import SEEK_CUR, SEEK_END

from was_daemon.imaging.containers.ifd import LONG, SHORT, UNDEFINED
from was_daemon.imaging.libvips import pyvips

WIDTH, HEIGHT = 256, 257
BITS, COMPRESSION, PHOTOMETRIC = 258, 259, 262
OFFSETS, SAMPLES, ROWS, LENGTHS = 273, 277, 278, 279
EXTRA_SAMPLES = 338

Tags = Mapping[int, tuple[int, bytes]]
"""Entries of a directory by their tags: the number of the field type, and the values in the byte order of this machine.
"""

_LONG8 = 16
_FORMATS = {SHORT: "H", LONG: "I", UNDEFINED: "B", _LONG8: "Q"}
_ORDER, _MARK = ("<", b"II") if sys.byteorder == "little" else (">", b"MM")
_START = 16
"""Bytes before the directory."""

_ENTRY = 20
_NOTHING = memoryview(b"")


def tiff_head(size: tuple[int, int], rows: int, lengths: Sequence[int], tags: Tags) -> bytes:
    """Return all of a TIFF file of `size` pixels before its strips, which have `rows` rows each and `lengths` in bytes.

    `tags` are those that do not follow from these.
    """
    entries = {**tags, **dict([long(WIDTH, size[0]), long(HEIGHT, size[1]), long(ROWS, rows)])}
    entries[LENGTHS] = _LONG8, _packed(_LONG8, lengths)
    entries[OFFSETS] = _LONG8, bytes(len(entries[LENGTHS][1]))
    offset = len(_head(entries))
    offsets = [offset := offset + length for length in (0, *lengths[:-1])]
    return _head({**entries, OFFSETS: (_LONG8, _packed(_LONG8, offsets))})


def short(tag: int, *numbers: int) -> tuple[int, tuple[int, bytes]]:
    """Return an entry of a directory, of numbers of 16 bits."""
    return tag, (SHORT, _packed(SHORT, numbers))


def long(tag: int, *numbers: int) -> tuple[int, tuple[int, bytes]]:
    """Return an entry of a directory, of numbers of 32 bits."""
    return tag, (LONG, _packed(LONG, numbers))


def _packed(field_type: int, numbers: Sequence[int]) -> bytes:
    return struct.pack(f"{_ORDER}{len(numbers)}{_FORMATS[field_type]}", *numbers)


def _head(entries: Tags) -> bytes:
    table = struct.pack(f"{_ORDER}Q", len(entries))
    far = b""
    position = _START + len(table) + _ENTRY * len(entries) + 8
    for tag, (field_type, data) in sorted(entries.items()):
        place = data.ljust(8, b"\0")
        if len(place) > 8:
            place = struct.pack(f"{_ORDER}Q", position + len(far))
            far += data + bytes(-len(data) % 8)
        count = len(data) // struct.calcsize(_FORMATS[field_type])
        table += struct.pack(f"{_ORDER}HHQ", tag, field_type, count) + place
    return _MARK + struct.pack(f"{_ORDER}HHHQ", 43, 8, 0, _START) + table + bytes(8) + far


class Feed:
    """A file that libvips reads while it is made: `head`, and `size` further bytes that come in `parts`, to be read in
    their order.

    Who has it read keeps this object as long as libvips reads, since pyvips does not. `error` is what went wrong while
    the parts were made, of which libvips says only that it cannot read them.
    """

    def __init__(self, head: bytes, size: int, parts: Iterator[bytes]) -> None:
        self._head = memoryview(head)
        self._parts = parts
        self._part = _NOTHING
        self._start = len(head)
        """Position of the part in the file."""
        self._position = 0
        self._size = len(head) + size
        self.error: Exception | None = None
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._read)
        self.source.on_seek(self._seek)

    def end(self) -> None:
        """Read no more; libvips, which can call this object, and it know of each other, and stay for a while."""
        self._parts, self._part = iter(()), _NOTHING

    def _seek(self, offset: int, whence: int) -> int:
        self._position = offset + {SEEK_CUR: self._position, SEEK_END: self._size}.get(whence, 0)
        return self._position

    def _read(self, size: int) -> memoryview:
        """Return the next bytes, at most `size`; none at the end, and after an error."""
        try:
            data = self._from_head(size) or self._from_part(size)
        except StopIteration:
            return _NOTHING
        except Exception as error:  # libvips, which calls this, would print it
            self.error = error
            return _NOTHING
        self._position += len(data)
        return data

    def _from_head(self, size: int) -> memoryview:
        return self._head[self._position : self._position + size]

    def _from_part(self, size: int) -> memoryview:
        while self._position >= self._start + len(self._part):
            self._start += len(self._part)
            self._part = _NOTHING  # its memory is free before the next one is made
            self._part = memoryview(next(self._parts))
        if self._position < self._start:
            raise OSError("libvips has gone back to rows that it has read")
        at = self._position - self._start
        return self._part[at : at + size]
