"""Binary file with a limit on reads, for parsers that believe any count in a damaged file."""

from typing import BinaryIO

_MAX_READ = 1 << 20
"""Bytes that one call reads: the largest value in an honest file is an embedded preview."""

_MAX_READS = 100_000
_MAX_PASSES = 4
"""Bytes that all calls may read, in multiples of the size of the file, beside `_ALLOWANCE`."""

_ALLOWANCE = 1 << 20


class ReadLimitExceeded(ValueError):
    """The parser reads the same bytes again and again, because of wrong counts or offsets in the file."""


class BoundedFile:
    """Binary file that raises `ReadLimitExceeded` after 100,000 reads, or when several times its size was read.

    The values of an honest file's tags do not overlap, so that reading all of them once is enough.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads_left = _MAX_READS
        self._bytes_left = _MAX_PASSES * file.seek(0, 2) + _ALLOWANCE
        self.seek = file.seek
        self.tell = file.tell
        self.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, and at most 1 MiB."""
        data = self._file.read(min(size, _MAX_READ) if size >= 0 else _MAX_READ)
        self._reads_left -= 1
        self._bytes_left -= len(data)
        if self._reads_left < 0 or self._bytes_left < 0:
            raise ReadLimitExceeded
        return data
