"""Replacement of a file, also while other processes replace it.

A process locks the file that it replaces. When it had to wait for the lock, the file may have been replaced meanwhile;
then it locks the new one. So of two processes that replace a file at the same moment, the second sees the first one's
version, and every version has a later time than the one before, whatever the clocks of their machines say. Where files
cannot be locked, two versions within the same hundred-thousandth of a second may have the same time.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from was_daemon.stores.local.directories import Entry
from was_daemon.stores.local.locking import FileLock, try_lock

_STEPS = (10_000, 10**9, 2 * 10**9)
"""Nanoseconds by which a version is later, at least: as seconds in floating point tell apart, or as the disk does."""

_LOCK_SECONDS = 5.0
"""Time to wait for a lock: a process that holds it for longer is no daemon."""

_PAUSE_SECONDS = 0.002
_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY})
"""Errors when a file is opened for writing that may be replaced all the same."""

NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
"""Errors of file systems without hard links."""


def put_in_place(fd: int, source: Entry, target: Entry, replace: bool = True) -> os.stat_result:
    """Rename the file `source`, open as `fd`, to `target`, with a time of its own; blocks.

    Raises OSError, and has changed nothing then; without `replace` FileExistsError when `target` exists.
    """
    while True:
        with _locked(target) as existing:
            if existing is None:
                status = _date(fd, 0)
                if _create(fd, source, target):
                    return status
            elif not replace:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            else:
                status = _date(fd, existing.st_mtime_ns)
                source.rename(target)
                return status


def _date(fd: int, before: int) -> os.stat_result:
    """Set the time of an open file to now, but later than `before`, in nanoseconds; return its status."""
    for step in _STEPS:
        os.utime(fd, ns=(max(time.time_ns(), before + step),) * 2)
        if os.fstat(fd).st_mtime_ns > before:
            break
    return os.fstat(fd)


def _create(fd: int, source: Entry, target: Entry) -> bool:
    """Rename a file to a name that does not exist; return False when it exists."""
    try:
        source.link(target)
    except FileExistsError:
        # A link request that NFS repeats fails because the first one has succeeded.
        if os.fstat(fd).st_nlink == 1:
            return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        source.rename(target)
        return True
    source.unlink()
    return True


def rename_to_new(source: Entry, target: Entry) -> None:
    """Rename a file to a name that does not exist; blocks. Raises FileExistsError when it exists.

    A process that is killed half-way leaves the file under both names.
    """
    try:
        source.link(target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _check_missing(target)
        source.rename(target)
    else:
        source.unlink()


def _check_missing(target: Entry) -> None:
    """Raise FileExistsError when a file exists, as far as that can be told without a lock."""
    try:
        target.lstat()
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


@contextmanager
def _locked(target: Entry) -> Iterator[os.stat_result | None]:
    """Lock `target` against other daemons, and yield its status; None when it does not exist."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            existing = target.lstat()
        except FileNotFoundError:
            yield None
            return
        fd = _open(target) if stat.S_ISREG(existing.st_mode) else None
        if fd is None:
            yield existing
            return
        try:
            _lock(fd, deadline)
            locked = os.fstat(fd)
            if _is_at(target, locked):
                yield locked
                return
        finally:
            os.close(fd)


def _open(target: Entry) -> int | None:
    # NFS wants files open for writing that are to be locked; elsewhere it does not matter.
    for mode in (os.O_RDWR, os.O_RDONLY):
        try:
            return target.open(mode)
        except OSError as error:
            if error.errno not in _READ_ONLY:
                break
    return None


def _lock(fd: int, deadline: float) -> None:
    while try_lock(fd) is FileLock.THEIRS and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _is_at(target: Entry, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(target.lstat(), status)
    except FileNotFoundError:
        return False
