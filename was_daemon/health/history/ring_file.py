"""Files of fixed size that keep the newest samples. Everything here blocks.

A file is a head and two rings of slots: one slot for each minute of two hours, and one for every ten minutes of a week.
The slot of a sample follows from its time, so there is no pointer that a crash could leave wrong. A slot has a
checksum: one that was torn while it was written is skipped, which costs one sample. A file with another head is begun
anew.
"""

import errno
import json
import os
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from was_daemon.stores.local.locking import FileLock, try_lock

Sample: TypeAlias = Mapping[str, Any]

_VERSION = 1
_SLOT_SIZE = 1024
_SLOT = struct.Struct("<IIQ")
"""The checksum of all that follows, the length of the text, and the time in Unix seconds."""


@attrs.frozen
class Ring:
    """One sample every `step` seconds, `count` of them."""

    step: int
    count: int

    @property
    def size(self) -> int:
        """Bytes of all slots."""
        return self.count * _SLOT_SIZE


MINUTES, TENS = Ring(60, 120), Ring(600, 1008)
_RINGS = (MINUTES, TENS)
_HEAD = struct.pack(
    "<8s7I28x", b"was-ring", _VERSION, _SLOT_SIZE, MINUTES.step, MINUTES.count, TENS.step, TENS.count, 0
)
_OFFSETS = {MINUTES: len(_HEAD), TENS: len(_HEAD) + MINUTES.size}
FILE_SIZE = len(_HEAD) + sum(ring.size for ring in _RINGS)


class TooLarge(ValueError):
    """A sample that does not fit into a slot."""


class FileInUse(OSError):
    """A file that another process writes to."""


class RingFile:
    """The file at `path`, open for writing by this process alone. Raises OSError, and `FileInUse`."""

    def __init__(self, path: Path) -> None:
        make_private(path.parent)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            if try_lock(self._fd) is FileLock.THEIRS:
                raise FileInUse(f"{path} is in use by another process")
            if os.pread(self._fd, len(_HEAD), 0) != _HEAD or os.fstat(self._fd).st_size != FILE_SIZE:
                os.ftruncate(self._fd, 0)
                os.ftruncate(self._fd, FILE_SIZE)
                os.pwrite(self._fd, _HEAD, 0)
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, moment: float, sample: Sample) -> None:
        """Write a sample into the slot of its time in both rings; raises `TooLarge`."""
        slot = _packed(int(moment), sample)
        for ring in _RINGS:
            place = int(moment) // ring.step % ring.count
            os.pwrite(self._fd, slot, _OFFSETS[ring] + place * _SLOT_SIZE)

    def close(self) -> None:
        """Close the file, which unlocks it."""
        os.close(self._fd)


def make_private(directory: Path) -> None:
    """Make a directory that only this user may enter, with those above it; raises OSError if it is another user's."""
    if not directory.parent.exists():
        make_private(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "this directory belongs to another user", str(directory))


def _packed(moment: int, sample: Sample) -> bytes:
    text = zlib.compress(json.dumps(sample, separators=(",", ":")).encode(), level=9)
    if len(text) > _SLOT_SIZE - _SLOT.size:
        raise TooLarge(f"a sample has {len(text)} bytes")
    rest = _SLOT.pack(0, len(text), moment)[4:] + text
    return (struct.pack("<I", zlib.crc32(rest)) + rest).ljust(_SLOT_SIZE, b"\0")


def read_samples(path: Path, ring: Ring, now: float) -> list[tuple[int, Sample]]:
    """Return the samples of one ring that are whole, with their times in Unix seconds, in their order.

    None is later than `now`, or older than the ring is long. Without a file, or with one of another version, there are
    none. Raises OSError.
    """
    with suppress(FileNotFoundError), path.open("rb") as file:
        if file.read(len(_HEAD)) != _HEAD:
            return []
        file.seek(_OFFSETS[ring])
        slots = file.read(ring.size)
        # The clock may have been set back, and a minute more or less does not matter.
        oldest, newest = now - ring.step * ring.count, now + ring.step
        return sorted((each for each in _unpacked(slots) if oldest < each[0] <= newest), key=lambda timed: timed[0])
    return []


def _unpacked(slots: bytes) -> Iterator[tuple[int, Sample]]:
    for start in range(0, len(slots) - _SLOT_SIZE + 1, _SLOT_SIZE):
        checksum, length, moment = _SLOT.unpack_from(slots, start)
        end = start + _SLOT.size + length
        if not 0 < length <= _SLOT_SIZE - _SLOT.size or zlib.crc32(slots[start + 4 : end]) != checksum:
            continue
        sample = json.loads(zlib.decompress(slots[start + _SLOT.size : end]))
        yield moment, sample
