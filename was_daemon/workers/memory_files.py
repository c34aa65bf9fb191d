"""Files in memory by which workers are handed bytes, and hand over answers, without a disk.

Their size is sealed, as the limits of a worker do not count this memory. See memfd_create(2), fcntl(2).
"""

import fcntl
import os
from io import FileIO

_FIXED_SIZE = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class AnswerFile(FileIO):
    """File of `size` bytes that a worker may write an answer to. It takes the memory of what is written.

    Writing beyond its end fails with EPERM.
    """

    def __init__(self, size: int) -> None:
        super().__init__(_create("answer"), "r+b")
        self.size = size
        os.ftruncate(self.fileno(), size)
        fcntl.fcntl(self.fileno(), fcntl.F_ADD_SEALS, _FIXED_SIZE)

    def content(self, length: int) -> bytes:
        """Return the first `length` bytes, or all: a worker that a file has taken over may tell any length."""
        return os.pread(self.fileno(), min(max(length, 0), self.size), 0)


def in_memory(content: bytes) -> FileIO:
    """Return an open file that holds these bytes and lies on no disk; nobody can write to it."""
    file = FileIO(_create("source"), "r+b")
    file.write(content)
    file.seek(0)
    fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, _FIXED_SIZE | fcntl.F_SEAL_WRITE)
    return file


def _create(name: str) -> int:
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
