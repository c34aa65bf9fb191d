"""Locks on files, held for as long as a process has them open."""

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""Errors of file systems without locks, such as NFS without its lock service."""


class FileLock(Enum):
    """Result of an attempt to lock a file."""

    OURS = "ours"
    THEIRS = "theirs"
    UNSUPPORTED = "unsupported"


def try_lock(fd: int) -> FileLock:
    """Lock an open file, if no other process has locked it. Raises OSError."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return FileLock.THEIRS
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return FileLock.UNSUPPORTED
    return FileLock.OURS


def unlock(fd: int) -> None:
    """Unlock a file, also where another process has it open by the same descriptor."""
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)


def create_locked(directory: int, new_name: Callable[[], str]) -> tuple[str, int]:
    """Create a file in an open directory, and lock it where that is possible; return its name and descriptor.

    It is open for reading and writing. `new_name` returns a name that is not taken; it is called again when another
    process removed the file before it was locked.
    """
    while True:
        name = new_name()
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=directory)
        if try_lock(fd) is not FileLock.THEIRS and os.fstat(fd).st_nlink:
            return name, fd
        os.close(fd)
