"""MP4 and QuickTime: the movie header, and the largest picture among the tracks (ISO/IEC 14496-12, section 8).

When and where a film was made is in the user data, or among the metadata items of QuickTime (QuickTime File Format).
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.imaging.containers.boxes import Box, boxes
from was_daemon.imaging.dates import sortable_date
from was_daemon.imaging.positions import parse_iso6709
from was_daemon.model.descriptions import Recording

_VIDEO = b"vide"
_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_PLACE = b"\xa9xyz"
_DATE_ITEM, _PLACE_ITEM = b"com.apple.quicktime.creationdate", b"com.apple.quicktime.location.ISO6709"
_MAX_ITEM_BYTES = 1000


def read_mp4(file: BinaryFile, start: int) -> Recording | None:
    """Return what the box `moov` tells of a recording."""
    movie = next((box for box in boxes(file, start, file.seek(0, 2)) if box.name == b"moov"), None)
    if movie is None:
        return None
    parts = list(boxes(file, movie.start, movie.end))
    duration = _duration(file, parts)
    sizes = [size for box in parts if box.name == b"trak" and (size := _picture(file, box))]
    width, height = max(sizes, default=(None, None), key=lambda size: size[0] * size[1])
    items = _items(file, parts)
    captured = sortable_date(items.get(_DATE_ITEM, "")) or _created(file, parts)
    position = parse_iso6709(items.get(_PLACE_ITEM, "") or _place(file, parts))
    return Recording(duration, width, height, captured, position)


def _created(file: BinaryFile, parts: list[Box]) -> str | None:
    """Return the time of creation, which is in UTC; None when it is not set."""
    header = next(_contents(file, parts, b"mvhd"))
    (seconds,) = struct.unpack_from(">Q" if header[0] else ">I", header, 4)
    try:
        return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}" if seconds else None
    except OverflowError:
        return None


def _place(file: BinaryFile, parts: list[Box]) -> str:
    """Return the position in the user data, which follows its length and language."""
    for box in parts:
        if box.name == b"udta":
            for content in _contents(file, list(boxes(file, box.start, box.end)), _PLACE):
                return content[4:_MAX_ITEM_BYTES].decode("latin-1")
    return ""


def _items(file: BinaryFile, parts: list[Box]) -> dict[bytes, str]:
    """Return the texts among the metadata items by their keys, which the items name by number."""
    found: dict[bytes, str] = {}
    for meta in (box for box in parts if box.name == b"meta"):
        inside = list(boxes(file, meta.start, meta.end))
        keys = [key for box in inside if box.name == b"keys" for key in _keys(file, box)]
        for item in (each for box in inside if box.name == b"ilst" for each in boxes(file, box.start, box.end)):
            number = int.from_bytes(item.name, "big")
            for value in _contents(file, list(boxes(file, item.start, item.end)), b"data"):
                if 1 <= number <= len(keys):
                    found[keys[number - 1]] = value[8:_MAX_ITEM_BYTES].decode(errors="replace")
    return found


def _keys(file: BinaryFile, box: Box) -> list[bytes]:
    return [next(_contents(file, [each], each.name)) for each in list(boxes(file, box.start + 8, box.end))]


def _duration(file: BinaryFile, parts: list[Box]) -> float:
    header = next(_contents(file, parts, b"mvhd"))
    scale, duration = struct.unpack_from(">IQ", header, 20) if header[0] else struct.unpack_from(">II", header, 12)
    if not duration:
        # The recording is in fragments, whose length may be told apart (section 8.8.2).
        extends = [box for box in parts if box.name == b"mvex"]
        for fragments in (_contents(file, list(boxes(file, box.start, box.end)), b"mehd") for box in extends):
            for fragment in fragments:
                (duration,) = struct.unpack_from(">Q" if fragment[0] else ">I", fragment, 4)
    return float(duration / scale)


def _picture(file: BinaryFile, track: Box) -> tuple[int, int] | None:
    """Return width and height of the picture of a track, upright; None for sound."""
    parts = list(boxes(file, track.start, track.end))
    media = [box for part in parts if part.name == b"mdia" for box in boxes(file, part.start, part.end)]
    if not any(handler[8:12] == _VIDEO for handler in _contents(file, media, b"hdlr")):
        return None
    header = next(_contents(file, parts, b"tkhd"))
    matrix = 52 if header[0] else 40
    a, _, _, _, d = struct.unpack_from(">5i", header, matrix)
    width, height = (number >> 16 for number in struct.unpack_from(">II", header, matrix + 36))
    if not (width and height):
        return None
    # Phones film lying on their side, and say so in the matrix.
    return (width, height) if a or d else (height, width)


def _contents(file: BinaryFile, parts: list[Box], name: bytes) -> Iterator[bytes]:
    """Yield the contents of the boxes of a name."""
    for box in parts:
        if box.name == name:
            file.seek(box.start)
            yield file.read(box.end - box.start)
