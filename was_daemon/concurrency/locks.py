"""One at a time, per key."""

from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.model.errors import AssetError, UploadWithdrawn
from was_daemon.telemetry.redaction import without_secrets

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@attrs.define
class _Counted:
    lock: DeferredLock = attrs.field(factory=DeferredLock)
    users: int = 0


class KeyLocks(Generic[K]):
    """A lock for every key, kept only while somebody holds it or waits for it."""

    _log = Logger()

    def __init__(self) -> None:
        self._locks: dict[K, _Counted] = {}
        self._under_way: set[Deferred[Any]] = set()

    def run(self, key: K, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """Do `work` while holding the lock of `key`, to its end: cancelling the Deferred does not stop it half-way."""
        done: Deferred[T] = Deferred()

        def deliver(outcome: T | Failure) -> None:
            self._under_way.discard(task)
            if not done.called:
                done.callback(outcome)
            elif not isinstance(outcome, Failure) or outcome.check(UploadWithdrawn):
                return
            elif outcome.check(AssetError):
                self._log.warn("Failed, and nobody waits for it any more: {error}", error=outcome.value)
            else:
                details = without_secrets(outcome.getTraceback())
                self._log.error("Failed, and nobody waits for it any more:\n{details}", details=details)

        task = Deferred.fromCoroutine(self._run(key, work))
        self._under_way.add(task)
        task.addBoth(deliver)
        return done

    async def settled(self) -> None:
        """Wait until all work that `run` has begun before is done."""
        for task in list(self._under_way):
            ended: Deferred[None] = Deferred()
            task.chainDeferred(ended)
            await ended

    async def _run(self, key: K, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T:
        async with self.holding(key):
            return await work()

    @asynccontextmanager
    async def holding(self, key: K) -> AsyncIterator[None]:
        """Hold the lock of `key` for as long as the context lasts."""
        counted = self._locks.setdefault(key, _Counted())
        counted.users += 1
        try:
            await counted.lock.acquire()
            try:
                yield
            finally:
                counted.lock.release()
        finally:
            counted.users -= 1
            if not counted.users:
                del self._locks[key]
