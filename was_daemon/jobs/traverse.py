"""Traversal of the files of a store, several at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, FirstError, gatherResults

from was_daemon.library.collections import Collections
from was_daemon.model.composition import stores_in
from was_daemon.model.errors import AssetNotFound, CannotList
from was_daemon.model.interfaces import IAssetStore, ILocalFiles
from was_daemon.model.keys import AssetKey, Kind

T = TypeVar("T")

_ABSENT_NAME = "was-daemon-does-not-upload-this-name"
"""Name of an asset to ask for, to see whether a store answers at all."""


async def list_assets(store: IAssetStore, directories: Sequence[str], kind: Kind) -> AsyncGenerator[AssetKey, None]:
    """Yield the keys of one kind in several collections of a store."""
    for directory in directories:
        async with aclosing(store.list(directory, kind)) as keys:
            async for key in keys:
                yield key


async def require_answer(store: IAssetStore, directories: Sequence[str]) -> None:
    """Ask a store for an asset in each collection; raise the store's error when it cannot be used."""
    for directory in directories:
        with suppress(AssetNotFound):
            await store.stat(AssetKey(directory, Kind.ORIGINAL, _ABSENT_NAME))


async def is_empty(store: IAssetStore, directory: str, kind: Kind) -> bool:
    """Fire with whether a store holds no asset of this kind in a collection, as far as it can tell."""
    with suppress(CannotList):
        async with aclosing(store.list(directory, kind)) as keys:
            async for _ in keys:
                return False
        return True
    return False


async def count_items(items: AsyncGenerator[Any, None]) -> int:
    """Return the number of items, and close the generator."""
    number = 0
    async with aclosing(items):
        async for _ in items:
            number += 1
    return number


class _SharedIterator(Generic[T]):
    """Iterator for several consumers, each of which takes the next item when it is free."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._lock = DeferredLock()

    async def consume(self, work: Callable[[T], Awaitable[None]]) -> None:
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
    """Call `work` with each item, for at most `parallel` items at a time; an item is taken when its turn comes.

    The first error of `work` or `items`, or cancellation, stops everything and is raised.
    """
    async with aclosing(items):
        shared = _SharedIterator(items)
        consumers = [Deferred.fromCoroutine(shared.consume(work)) for _ in range(parallel)]
        try:
            await gatherResults(consumers, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        finally:
            for consumer in consumers:
                consumer.cancel()
            await DeferredList(consumers, consumeErrors=True)


async def directories_in(store: IAssetStore, collections: Collections) -> list[str]:
    """Fire with the directories of the collections in `store`; see `Collections.directories`."""
    for part in stores_in(store):
        if ILocalFiles.providedBy(part):
            return await ILocalFiles(part).in_thread(None, lambda: list(collections.directories(store)))
    return list(collections.directories(store))
