"""Blocking disk work, off the reactor.

Every store on a disk has threads of its own: a mount that hangs holds up the requests that need it, and no others.
"""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from was_daemon.errors import AssetError, AssetNotFound, NoSpace, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def translated(error: OSError, place: str = "store") -> AssetError:
    """The store's error for an operating system's; the path stays out of it. `place` is what clients know it as."""
    if error.errno in _ABSENT:
        return AssetNotFound("no such asset")
    if error.errno in _FULL:
        return NoSpace(f"no space left in the {place}")
    return StoreUnavailable(f"the {place} cannot be used: {os.strerror(error.errno or errno.EIO).lower()}")


class _ThreadPool(ThreadPool):
    """Threads that do not keep the process alive: a disk that hangs must not keep the daemon from ending."""

    threadFactory = staticmethod(partial(Thread, daemon=True))  # type: ignore[assignment]  # it only calls it


class DiskThreads:
    """Threads for one disk, started when first needed and ended by `close`."""

    _log = Logger()

    def __init__(self, name: str, place: str = "store", size: int = 16) -> None:
        self._name = name
        self._place = place
        self._pool = _ThreadPool(0, size, name)
        self._closed = False

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call `function` in a thread; its OSErrors become the errors of `translated`.

        Cancelling the Deferred drops the result; the call itself goes on to its end.
        """
        from twisted.internet import reactor

        if self._closed:
            # What is left to do at the end of the daemon is to remove unfinished files.
            return maybeDeferred(lambda: self._call(function, *args, **kwargs))
        if not self._pool.started:
            self._pool.start()
        return deferToThreadPool(
            IReactorFromThreads(reactor), self._pool, lambda: self._call(function, *args, **kwargs)
        )

    def acquire(
        self, release: Callable[[T], object], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """`run` a function whose result has to be released: by `release`, if the Deferred was cancelled meanwhile."""
        acquired: Deferred[T] = Deferred()

        def deliver(outcome: T | Failure) -> None:
            if not acquired.called:
                acquired.callback(outcome)
            elif not isinstance(outcome, Failure):
                release(outcome)

        self.run(function, *args, **kwargs).addBoth(deliver)
        return acquired

    def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            answer = translated(error, self._place)
            if not isinstance(answer, AssetNotFound):
                self._log.error("{name}: {error}", name=self._name, error=error)
            raise answer from error

    def close(self) -> Deferred[None]:
        """End the threads; fires when the calls under way have ended. Later calls are made at once."""
        from twisted.internet import reactor

        self._closed = True
        ended: Deferred[None] = Deferred()
        if not self._pool.started:
            ended.callback(None)
            return ended

        def stop() -> None:
            self._pool.stop()
            IReactorFromThreads(reactor).callFromThread(ended.callback, None)

        Thread(target=stop, name=f"end of {self._name}", daemon=True).start()
        return ended


def sync_directory(path: Path) -> None:
    """Make renames into and removals from `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Create `path` and its missing parents, durably."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)
