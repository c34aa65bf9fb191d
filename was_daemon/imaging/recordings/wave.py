"""WAV, its form for large files, RF64, and what broadcasters add (Multimedia Programming Interface 1.0; EBU Tech 3306,
EBU Tech 3285)."""

import struct

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.imaging.dates import sortable_date
from was_daemon.model.descriptions import Recording

_ORIGINATION = slice(320, 338)
"""Where the chunk of broadcasters has date and time."""

_UNKNOWN = 0xFFFFFFFF
_PCM = (1, 3, 0xFFFE)


def read_wave(file: BinaryFile, start: int) -> Recording | None:
    """Return what the chunks before the samples tell of a recording."""
    end = file.seek(0, 2)
    position, large = start + 12, 0
    kind = rate = bytes_per_second = samples = 0
    captured = None
    while position + 8 <= end:
        file.seek(position)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"ds64":
            large = struct.unpack("<QQ", file.read(16))[1]
        elif name == b"fmt ":
            kind, _, rate, bytes_per_second = struct.unpack("<HHII", file.read(12))
        elif name == b"fact":
            (samples,) = struct.unpack("<I", file.read(4))
        elif name == b"bext":
            moment = file.read(_ORIGINATION.stop)[_ORIGINATION].decode("latin-1")
            captured = sortable_date(f"{moment[:10]} {moment[10:]}")
        elif name == b"data":
            left = end - position - 8
            # A recorder that lost its power leaves no size, or 0.
            octets = large if size == _UNKNOWN and large else size
            octets = min(octets, left) if octets else left
            is_counted = kind not in _PCM and samples and rate
            duration = samples / rate if is_counted else octets / bytes_per_second
            return Recording(duration, captured=captured)
        position += 8 + size + size % 2
    return None
