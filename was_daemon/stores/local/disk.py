"""Regular files of a disk, and its free space. Everything here blocks."""

import errno
import os
import stat
import sys
from io import FileIO
from pathlib import Path

_BEGINNING = 1 << 16


def open_regular(path: str | Path, directory: int | None = None) -> FileIO:
    """Open a regular file and read its beginning, so that a mount that hangs holds up this call and not a worker.

    `directory` is the descriptor of the directory that `path` is relative to. A link is not followed. Raises OSError;
    a file that is not regular counts as missing.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = FileIO(os.open(path, flags, dir_fd=directory), closefd=True)
    try:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a file")
        os.pread(file.fileno(), _BEGINNING, 0)
    except BaseException:
        file.close()
        raise
    return file


def free_near(path: Path) -> int:
    """Return the free bytes where a file at `path` would lie, also while its directory is missing."""
    while not path.exists():
        path = path.parent
    return free_bytes(path)


def free_bytes(where: Path | int) -> int:
    """Return the free bytes of the file system of a path or an open file; `sys.maxsize` where that is unknown."""
    status = os.statvfs(where)
    return status.f_bavail * status.f_frsize if status.f_blocks else sys.maxsize
