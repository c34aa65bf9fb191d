"""WebM and Matroska: the information on the segment, and the pictures of the tracks (RFC 8794, RFC 9559)."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.model.descriptions import Recording

_SEGMENT, _INFO, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0
_SCALE, _DURATION, _DATE = 0x2AD7B1, 0x4489, 0x4461
_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
_WIDTH, _HEIGHT, _SHOWN_WIDTH, _SHOWN_HEIGHT, _UNIT = 0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2
_DEFAULT_SCALE = 1_000_000
"""Nanoseconds of a unit of time."""


def read_matroska(file: BinaryFile, start: int) -> Recording | None:
    """Return what the first segment tells of a recording."""
    duration, scale = 0.0, _DEFAULT_SCALE
    size: tuple[int, int] | None = None
    captured = None
    for segment, first, end in _elements(file, start, file.seek(0, 2)):
        if segment != _SEGMENT:
            continue
        for element, begin, stop in _elements(file, first, end):
            if element == _INFO:
                values = _values(file, begin, stop)
                scale = int.from_bytes(values.get(_SCALE, b""), "big") or scale
                duration = _float(values.get(_DURATION, b""))
                captured = _moment(values.get(_DATE, b""))
            elif element == _TRACKS:
                size = _picture(file, begin, stop)
            if duration and size:
                break
        width, height = size or (None, None)
        return Recording(duration * scale / 1e9, width, height, captured)
    return None


def _moment(value: bytes) -> str | None:
    """Return a time, which is in nanoseconds and in UTC; None without one."""
    if len(value) != 8:
        return None
    return f"{_EPOCH + timedelta(microseconds=int.from_bytes(value, 'big', signed=True) // 1000):%Y-%m-%d %H:%M:%S}"


def _picture(file: BinaryFile, begin: int, end: int) -> tuple[int, int] | None:
    for track, first, stop in _elements(file, begin, end):
        for element, start, last in _elements(file, first, stop) if track == _TRACK else ():
            if element == _VIDEO:
                numbers = {name: int.from_bytes(value, "big") for name, value in _values(file, start, last).items()}
                if numbers.get(_SHOWN_WIDTH) and numbers.get(_SHOWN_HEIGHT) and not numbers.get(_UNIT):
                    return numbers[_SHOWN_WIDTH], numbers[_SHOWN_HEIGHT]
                return numbers[_WIDTH], numbers[_HEIGHT]
    return None


def _elements(file: BinaryFile, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield identifier, start and end of the content of each element between two positions."""
    while start < end:
        file.seek(start)
        head = file.read(12)
        length = _length(head[0])
        name, rest = int.from_bytes(head[:length], "big"), head[length:]
        width = _length(rest[0])
        size = int.from_bytes(rest[:width], "big") & ((1 << 7 * width) - 1)
        begin = start + length + width
        # All ones: the length was not known when the element was begun.
        stop = end if size == (1 << 7 * width) - 1 else min(end, begin + size)
        yield name, begin, stop
        start = stop


def _length(first: int) -> int:
    """Return the bytes of a number of variable size, by its first byte (RFC 8794, section 4.1)."""
    return 9 - first.bit_length()


def _values(file: BinaryFile, start: int, end: int) -> dict[int, bytes]:
    found = {}
    for name, begin, stop in _elements(file, start, end):
        file.seek(begin)
        found[name] = file.read(min(stop - begin, 8))
    return found


def _float(value: bytes) -> float:
    return float(struct.unpack({4: ">f", 8: ">d"}[len(value)], value)[0]) if value else 0.0
