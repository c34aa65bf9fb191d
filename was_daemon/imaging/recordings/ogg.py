"""Ogg: Vorbis, Opus, FLAC, Speex and Theora, whose last pages tell where they end (RFC 3533)."""

import struct
from collections.abc import Iterator

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.model.descriptions import Recording

_PAGE = struct.Struct("<4sBBqIIIB")
_FIRST = 2
"""Flag of the first page of a stream."""

_END = 1 << 18
"""Bytes at the end of a file among which the last pages are looked for; a page has 64 KiB at most."""

_OPUS_RATE = 48_000
_Stream = tuple[float, int, int]
"""Positions per second, positions before the first that is played, bits of the second part of a position (Theora)."""


def read_ogg(file: BinaryFile, start: int) -> Recording | None:
    """Return what the first and the last pages of the streams tell of a recording."""
    streams: dict[int, _Stream] = {}
    size: tuple[int, int] | None = None
    for serial, packet in _first_packets(file, start):
        if packet.startswith(b"\x80theora"):
            size = int.from_bytes(packet[14:17], "big"), int.from_bytes(packet[17:20], "big")
        stream = _stream(packet)
        if stream:
            streams[serial] = stream
    ends = _ends(file)
    seconds = (_seconds(stream, ends[serial]) for serial, stream in streams.items() if serial in ends)
    return Recording(max(seconds), *(size or (None, None)))


def _first_packets(file: BinaryFile, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield serial number and first packet of each stream: all streams begin before any goes on (section 4)."""
    while True:
        file.seek(start)
        head = file.read(_PAGE.size)
        _, _, flags, _, serial, _, _, count = _PAGE.unpack(head)
        if not flags & _FIRST:
            return
        length = sum(file.read(count))
        yield serial, file.read(length)
        start += _PAGE.size + count + length


def _stream(packet: bytes) -> _Stream | None:
    if packet.startswith(b"\x01vorbis"):
        return struct.unpack_from("<I", packet, 12)[0], 0, 0
    if packet.startswith(b"OpusHead"):
        return _OPUS_RATE, struct.unpack_from("<H", packet, 10)[0], 0
    if packet.startswith(b"\x7fFLAC"):
        return int.from_bytes(packet[27:30], "big") >> 4, 0, 0
    if packet.startswith(b"Speex   "):
        return struct.unpack_from("<I", packet, 36)[0], 0, 0
    if packet.startswith(b"\x80theora"):
        frames, seconds = struct.unpack_from(">II", packet, 22)
        return frames / seconds, 0, (int.from_bytes(packet[40:42], "big") >> 5) & 31
    return None


def _ends(file: BinaryFile) -> dict[int, int]:
    """Return the position at the end of each stream, by serial number."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END))
    data = file.read(_END)
    found = {}
    at = data.find(b"OggS")
    while 0 <= at <= len(data) - _PAGE.size:
        _, _, _, position, serial, _, _, _ = _PAGE.unpack_from(data, at)
        if position >= 0:
            found[serial] = position
        at = data.find(b"OggS", at + 4)
    return found


def _seconds(stream: _Stream, position: int) -> float:
    rate, skipped, bits = stream
    # Theora: the number of a key frame, and of the frames since.
    position = (position >> bits) + (position & ((1 << bits) - 1))
    return (position - skipped) / rate
