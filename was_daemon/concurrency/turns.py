"""Many may look at a thing at once, one may replace it: for servers that do not replace at once."""

from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredLock

K = TypeVar("K", bound=Hashable)


class _Queue:
    """Who is at one thing; it lives as long as somebody is."""

    def __init__(self) -> None:
        self.door = DeferredLock()
        self.looking = 0
        self.alone: Deferred[None] | None = None


class Turns(Generic[K]):
    """Whoever asks first has the first turn; keys do not wait for each other."""

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[K, _Queue] = WeakValueDictionary()

    @asynccontextmanager
    async def look(self, key: K) -> AsyncGenerator[None, None]:
        """Inside the block nobody replaces what is under `key`."""
        queue = self._queues.setdefault(key, _Queue())
        async with queue.door:
            queue.looking += 1
        try:
            yield
        finally:
            queue.looking -= 1
            if not queue.looking and queue.alone:
                queue.alone.callback(None)

    @asynccontextmanager
    async def replace(self, key: K) -> AsyncGenerator[None, None]:
        """Inside the block nobody else looks at or replaces what is under `key`."""
        queue = self._queues.setdefault(key, _Queue())
        async with queue.door:
            if queue.looking:
                queue.alone = Deferred()
                try:
                    await queue.alone
                finally:
                    queue.alone = None
            yield
