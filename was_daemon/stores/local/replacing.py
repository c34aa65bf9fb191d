"""A file takes the place of another, also while other processes do the same.

Whoever replaces a file locks it first. A lock that was waited for may be of a file that has been replaced meanwhile;
then it is the new one's turn. So of two that replace a file at the same moment, the second sees what the first one has
left, and every version has a later time than the one before, whatever the clocks of their machines say. Where files
cannot be locked, two that come within the same hundred-thousandth of a second may have the same time.
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
"""Nanoseconds that a version is later, at least: what seconds as floating point tell apart, or what the disk does."""

_PATIENCE = 5.0
"""Seconds to wait for a lock: whoever else has it for longer is no daemon."""

_PAUSE = 0.002
_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY})
"""What may be said to who opens a file for writing that may be replaced all the same."""

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
"""What file systems without hard links say."""


def put_in_place(fd: int, source: Entry, target: Entry, replace: bool = True) -> os.stat_result:
    """Rename the file `source`, open as `fd`, to `target`, with a time of its own; blocks.

    Without `replace`, FileExistsError when there is a file already. Raises OSError, and has changed nothing then.
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
    """Let an open file be of now, and later than `before`, in nanoseconds."""
    for step in _STEPS:
        os.utime(fd, ns=(max(time.time_ns(), before + step),) * 2)
        if os.fstat(fd).st_mtime_ns > before:
            break
    return os.fstat(fd)


def _create(fd: int, source: Entry, target: Entry) -> bool:
    """Rename to a name that nothing has; False when something has it."""
    try:
        source.link(target)
    except FileExistsError:
        # A request that NFS repeats finds what it has done before.
        if os.fstat(fd).st_nlink == 1:
            return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        source.rename(target)
        return True
    source.unlink()
    return True


@contextmanager
def _locked(target: Entry) -> Iterator[os.stat_result | None]:
    """What is at `target`, if anything: inside the block nobody who locks it replaces it."""
    deadline = time.monotonic() + _PATIENCE
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
        time.sleep(_PAUSE)


def _is_at(target: Entry, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(target.lstat(), status)
    except FileNotFoundError:
        return False
