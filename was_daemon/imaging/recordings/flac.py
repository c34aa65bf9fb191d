"""FLAC: the description of the stream, which comes first (RFC 9639, section 8.2)."""

from was_daemon.imaging.containers.block import BinaryFile
from was_daemon.model.descriptions import Recording


def read_flac(file: BinaryFile, start: int) -> Recording | None:
    """Return what the description of a stream tells."""
    file.seek(start)
    return Recording(flac_duration(file.read(42)))


def flac_duration(head: bytes) -> float:
    """Return the seconds of a stream that starts with `head`; 0 when it does not say."""
    numbers = int.from_bytes(head[18:26], "big")
    return (numbers & ((1 << 36) - 1)) / (numbers >> 44)
