"""Choice of the reader of a recording, by the first bytes of a file."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from was_daemon.imaging.bounded_file import BoundedFile
from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.imaging.recordings.flac import read_flac
from was_daemon.imaging.recordings.matroska import read_matroska
from was_daemon.imaging.recordings.mp4 import read_mp4
from was_daemon.imaging.recordings.mpeg_audio import id3_size, read_mpeg_audio
from was_daemon.imaging.recordings.ogg import read_ogg
from was_daemon.imaging.recordings.wave import read_wave
from was_daemon.model.descriptions import Recording

_Reader = Callable[[BinaryFile, int], Recording | None]
_READERS: tuple[tuple[int, bytes, _Reader], ...] = (
    *((4, name, read_mp4) for name in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
    (0, b"\x1a\x45\xdf\xa3", read_matroska),
    (8, b"WAVE", read_wave),
    (0, b"OggS", read_ogg),
    (0, b"fLaC", read_flac),
    # MP3 has no mark at its beginning.
    (0, b"", read_mpeg_audio),
)
"""Readers by the bytes at a position; the first that fits is used."""


def read_recording(source: BinaryIO) -> Recording | None:
    """Return the length of the recording `source` and the size of its picture; None when its header tells no length."""
    with suppress(Exception):  # a damaged file makes whatever reads it raise anything
        file = BoundedFile(source)
        # Some programs write ID3 before kinds of files other than MP3.
        start = id3_size(file)
        file.seek(start)
        head = file.read(12)
        for position, magic, read in _READERS:
            if head[position : position + len(magic)] == magic:
                recording = read(file, start)
                return recording if recording and 0 < recording.duration < math.inf else None
    return None
