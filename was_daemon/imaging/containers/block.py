"""Block of metadata inside a file, and the part of a file that holds it."""

import enum
import io
from collections.abc import Iterator
from typing import Protocol

import attrs

MAX_BLOCK_BYTES = 1 << 20
"""Bytes of a block that are copied or unpacked into memory; blocks that stay in their file are of any size."""


class BinaryFile(Protocol):
    """Open file, as far as walkers of containers and readers of metadata use it."""

    def read(self, size: int = -1, /) -> bytes:
        """See `io.RawIOBase`."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """See `io.RawIOBase`."""

    def tell(self) -> int:
        """See `io.RawIOBase`."""


class BlockKind(enum.Enum):
    """Form of a block's content."""

    TIFF = "a TIFF file whose first directory is EXIF's IFD0"
    EXIF_DIRECTORY = "a TIFF file whose first directory is the Exif IFD"
    GPS_DIRECTORY = "a TIFF file whose first directory is the GPS IFD"
    CANON_DIRECTORY = "a TIFF file whose first directory is Canon's maker note"
    XMP = "an XMP packet"
    IPTC = "IPTC-IIM datasets"
    SIGMA = "the properties of a Sigma X3F file"
    CIFF = "a whole Canon CRW file"


@attrs.frozen
class Block:
    """One block; `file` starts and ends with it."""

    kind: BlockKind
    file: BinaryFile


class FilePart:
    """The `size` bytes from `start` on of another file, as a file of their own."""

    def __init__(self, file: BinaryFile, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self.size = max(0, size)
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `size` bytes; with -1, as many as one read of the underlying file gives."""
        left = max(0, self.size - self._position)
        self._file.seek(self._start + self._position)
        data = self._file.read(left if size < 0 else min(size, left))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position, which may lie behind the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


def tiff_part(file: BinaryFile, start: int, size: int) -> FilePart:
    """Return the TIFF file in an EXIF block, which some writers begin with the identifier of JPEG's segment."""
    file.seek(start)
    skipped = 6 if file.read(6)[:5] == b"Exif\0" else 0
    return FilePart(file, start + skipped, size - skipped)


def positions(file: BinaryFile, text: bytes) -> Iterator[int]:
    """Yield where `text` is in a file, which is read in pieces; the caller may read meanwhile."""
    start = 0
    while True:
        file.seek(start)
        piece = file.read(MAX_BLOCK_BYTES)
        at = piece.find(text)
        while at >= 0:
            yield start + at
            at = piece.find(text, at + 1)
        if len(piece) < len(text):
            return
        start += len(piece) - len(text) + 1
