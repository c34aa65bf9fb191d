"""MP4 and QuickTime: the movie header, and the largest picture among the tracks (ISO/IEC 14496-12, section 8)."""

import struct
from collections.abc import Iterator

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.imaging.containers.boxes import Box, boxes
from was_daemon.model.descriptions import Recording

_VIDEO = b"vide"


def read_mp4(file: BinaryFile, start: int) -> Recording | None:
    """Return what the box `moov` tells of a recording."""
    movie = next((box for box in boxes(file, start, file.seek(0, 2)) if box.name == b"moov"), None)
    if movie is None:
        return None
    parts = list(boxes(file, movie.start, movie.end))
    duration = _duration(file, parts)
    sizes = [size for box in parts if box.name == b"trak" and (size := _picture(file, box))]
    return Recording(duration, *max(sizes, default=(None, None), key=lambda size: size[0] * size[1]))


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
