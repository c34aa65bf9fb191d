"""One at a time, per key."""

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import DeferredLock

K = TypeVar("K", bound=Hashable)


@attrs.define
class _Counted:
    lock: DeferredLock = attrs.field(factory=DeferredLock)
    users: int = 0


class KeyLocks(Generic[K]):
    """A lock for every key, kept only while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[K, _Counted] = {}

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
