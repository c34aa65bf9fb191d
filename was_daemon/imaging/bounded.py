"""As much of a file as an honest one gives cause to read."""

from typing import BinaryIO

_LONGEST = 1 << 20
"""Bytes of one value: an honest one is an embedded preview at the most."""

_MOST_READS = 100_000
_TIMES_OVER = 4
_SLACK = 1 << 20


class TooMuch(ValueError):
    """What the file says about itself makes its reader read the same bytes again and again."""


class BoundedFile:
    """A binary file for readers that believe any count and length that a damaged one states.

    Raises `TooMuch` after a hundred thousand reads, and when several times its size was read: what a file's tags hold
    does not overlap.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads = _MOST_READS
        self._bytes = _TIMES_OVER * file.seek(0, 2) + _SLACK
        self.seek = file.seek
        self.tell = file.tell
        self.seek(0)

    def read(self, size: int = -1) -> bytes:
        """At most 1 MiB."""
        data = self._file.read(min(size, _LONGEST) if size >= 0 else _LONGEST)
        self._reads -= 1
        self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            raise TooMuch
        return data
