"""MP3 and its relatives: the first frame, and the table of contents that encoders put into it (ISO/IEC 11172-3)."""

import struct

import attrs

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.model.descriptions import Recording

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Samples per second by the bits of the version: 3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5."""

_KILOBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits per second by version and layer."""

_SEARCHED = 1 << 16
"""Bytes among which the first frame is looked for."""

_TAG_AT_END = 128
_MONO = 3


@attrs.frozen
class _Frame:
    """A frame of `samples` samples, with `octets` bytes; `side` is the length of the information before its data."""

    rate: int
    bits_per_second: int
    samples: int
    octets: int
    side: int

    @classmethod
    def parse(cls, head: bytes) -> "_Frame | None":
        """Return the frame that four bytes begin, None when they begin none."""
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
            return None
        version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
        bits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
        if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
            return None
        is_first = version == 3
        samples = 384 if layer == 1 else 1152 if layer == 2 or is_first else 576
        speed, frequency = _KILOBITS[1 if is_first else 2, layer][bits - 1] * 1000, _RATES[version][rate]
        slot = 4 if layer == 1 else 1
        is_mono = head[3] >> 6 == _MONO
        side = ((17 if is_mono else 32) if is_first else (9 if is_mono else 17)) + 4
        return cls(frequency, speed, samples, (samples // 8 // slot * speed // frequency + padding) * slot, side)


def id3_size(file: BinaryFile) -> int:
    """Return the length of the ID3 tag that a file begins with, 0 without one (ID3v2.4.0, section 3.1)."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for octet in head[6:10]:
        size = size << 7 | octet & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def read_mpeg_audio(file: BinaryFile, start: int) -> Recording | None:
    """Return the length that the first frame tells, or that of the file at the speed of that frame."""
    file.seek(start)
    data = file.read(_SEARCHED)
    for at in range(len(data) - 4):
        frame = _Frame.parse(data[at : at + 4])
        # Two in a row are no coincidence.
        if frame and _Frame.parse(data[at + frame.octets : at + frame.octets + 4]):
            counted = _counted_frames(data[at:], frame)
            if counted:
                return Recording(counted * frame.samples / frame.rate)
            return Recording((_end(file) - start - at) * 8 / frame.bits_per_second)
    return None


def _counted_frames(data: bytes, frame: _Frame) -> int:
    """Return the number of frames that the first one tells, 0 when it does not."""
    mark = data[frame.side : frame.side + 4]
    if mark in (b"Xing", b"Info") and data[frame.side + 7] & 1:
        return int(struct.unpack_from(">I", data, frame.side + 8)[0])
    return int(struct.unpack_from(">I", data, 50)[0]) if data[36:40] == b"VBRI" else 0


def _end(file: BinaryFile) -> int:
    """Return where the frames end: some files have a tag after them."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAG_AT_END))
    return size - _TAG_AT_END if file.read(3) == b"TAG" else size
