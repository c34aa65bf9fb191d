"""Going through the files of a store, some at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, FirstError, gatherResults

from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind

T = TypeVar("T")


class JobReport(Protocol):
    """The results of a job, as it goes on: how many files came to which state, and what is to be said of some."""

    def count(self, word: str, number: int = 1) -> None:
        """Count `number` files of which the state is `word`."""

    def tell(self, word: str, what: str, reason: str) -> None:
        """Count a file of which the state is `word`, and say which: `what` is its path in the flat layout."""


async def listing(store: IAssetStore, directories: Sequence[str], kind: Kind) -> AsyncGenerator[AssetKey, None]:
    """The keys of that kind in these collections of a store, one after another."""
    for directory in directories:
        async with aclosing(store.list(directory, kind)) as keys:
            async for key in keys:
                yield key


async def count(keys: AsyncGenerator[Any, None]) -> int:
    """How many there are."""
    number = 0
    async with aclosing(keys):
        async for _ in keys:
            number += 1
    return number


class _Turns(Generic[T]):
    """One iterator for several who each take what is next."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._lock = DeferredLock()

    async def each(self, work: Callable[[T], Awaitable[None]]) -> None:
        while True:
            await self._lock.acquire()
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                return
            finally:
                self._lock.release()
            await work(item)


async def for_each(items: AsyncGenerator[T, None], parallel: int, work: Callable[[T], Awaitable[None]]) -> None:
    """Do `work` on every item, on at most `parallel` at a time; items are taken when there is room for them.

    What `work` or `items` raise ends all of it, as does cancelling.
    """
    async with aclosing(items):
        turns = _Turns(items)
        workers = [Deferred.fromCoroutine(turns.each(work)) for _ in range(parallel)]
        try:
            await gatherResults(workers, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        finally:
            for worker in workers:
                worker.cancel()
            await DeferredList(workers, consumeErrors=True)
