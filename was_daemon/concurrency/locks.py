"""Shared and exclusive locks, one for each key."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.concurrency.waiting import shield
from was_daemon.model.errors import AssetError, UploadWithdrawn
from was_daemon.telemetry.redaction import without_secrets

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@attrs.define(eq=False)
class _Lock:
    """State of the lock of one key."""

    queue: DeferredLock = attrs.field(factory=DeferredLock)
    """Held by an exclusive holder, and by the first in line for as long as it waits for the shared holders."""
    shared: int = 0
    """Number of shared holders."""
    unshared: Deferred[None] | None = None
    """Fires when the last shared holder leaves, if somebody waits for that."""
    users: int = 0
    """Number of coroutines that hold the lock or wait for it."""


class KeyLocks(Generic[K]):
    """Shared/exclusive locks by key, granted in the order in which they were asked for.

    The locks are of this process: they do not exclude other daemons or commands. The lock of a key is kept only while a
    coroutine holds it or waits for it.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._locks: dict[K, _Lock] = {}
        self._tasks = BackgroundTasks()

    @asynccontextmanager
    async def shared(self, key: K) -> AsyncGenerator[None, None]:
        """Hold the lock of `key` together with other shared holders for as long as the context lasts."""
        async with self._used(key) as lock:
            async with lock.queue:
                lock.shared += 1
            try:
                yield
            finally:
                lock.shared -= 1
                if not lock.shared and lock.unshared:
                    lock.unshared.callback(None)

    @asynccontextmanager
    async def exclusive(self, key: K) -> AsyncGenerator[None, None]:
        """Hold the lock of `key` alone for as long as the context lasts."""
        async with self._used(key) as lock, lock.queue:
            if lock.shared:
                lock.unshared = Deferred()
                try:
                    await lock.unshared
                finally:
                    lock.unshared = None
            yield

    @asynccontextmanager
    async def _used(self, key: K) -> AsyncGenerator[_Lock, None]:
        lock = self._locks.setdefault(key, _Lock())
        lock.users += 1
        try:
            yield lock
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[key]

    def run(self, key: K, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """Do `work` to its end under the exclusive lock of `key`; fire with its result.

        Cancelling the Deferred does not stop `work` half-way.
        """
        return shield(self._tasks.add(self._run(key, work)), self._log_unclaimed)

    async def _run(self, key: K, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T:
        async with self.exclusive(key):
            return await work()

    def _log_unclaimed(self, result: object) -> None:
        """Log an error of work whose caller has been cancelled; a withdrawn upload is none."""
        if not isinstance(result, Failure) or result.check(UploadWithdrawn):
            return
        if result.check(AssetError):
            self._log.warn("Failed, and nobody waits for it any more: {error}", error=result.value)
        else:
            details = without_secrets(result.getTraceback())
            self._log.error("Failed, and nobody waits for it any more:\n{details}", details=details)

    async def settled(self) -> None:
        """Wait until all work that `run` has begun before is done."""
        await self._tasks.settled()
