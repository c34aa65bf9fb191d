"""Blocking disk work, off the reactor.

Every store on a disk has threads of its own, and so has every collection in it, which may lie on a mount of its own: a
mount that hangs holds up the requests that need it, and no others.
"""

import errno
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.concurrency.threads import Threads
from was_daemon.concurrency.waiting import shield
from was_daemon.model.errors import AssetError, AssetNotFound, NoSpace, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
_PARTING_SECONDS = 4.0
"""Time for which the end of the daemon waits for a disk, less than the five seconds it has for all stores."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def translated(error: OSError, subject: str = "store") -> AssetError:
    """Return the store's error for an operating system's, without the path; `subject` is the name that clients know."""
    if error.errno in _ABSENT:
        return AssetNotFound("no such asset")
    if error.errno in _FULL:
        return NoSpace(f"no space left in the {subject}", f"the {subject}: {os.strerror(error.errno or 0).lower()}")
    return StoreUnavailable(f"the {subject} cannot be used: {os.strerror(error.errno or errno.EIO).lower()}")


class DiskThreads(Threads):
    """Threads for one disk, or for one part of it that may hang by itself.

    `name` is for the log, `subject` for errors that clients see; `size` is the number of calls at a time.
    """

    _log = Logger()

    def __init__(self, name: str, subject: str = "store", size: int = 16) -> None:
        super().__init__(name, size)
        self._subject = subject
        self._closed = False
        self._hung = False

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call `function` in a thread; fire with its result. OSErrors become the errors of `translated`.

        Cancelling the Deferred drops the result; the call itself goes on to its end.
        """
        if self._hung:
            return fail(StoreUnavailable(f"the {self._subject} does not answer"))
        if self._closed:
            # At the end of the daemon only unfinished files are left to be removed.
            return maybeDeferred(lambda: self._call(function, *args, **kwargs))
        return self.call(lambda: self._call(function, *args, **kwargs))

    def acquire(
        self, release: Callable[[T], object], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Do as `run`, but call `release` with a result that comes after the Deferred was cancelled."""
        return shield(
            self.run(function, *args, **kwargs),
            lambda result: None if isinstance(result, Failure) else release(result),
        )

    def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            if error.errno not in _ABSENT:
                self._log.error("{name}: {error}", name=self.name, error=error)
            raise translated(error, self._subject) from error

    async def close(self) -> None:
        """Wait for the calls under way, but not for ones that hang; later calls are made at once, or refused."""
        self._closed = True
        left = await self.drain(_PARTING_SECONDS)
        if left:
            self._hung = True
            self._log.error("{name}: {left} operations hang and are left behind", name=self.name, left=left)
