"""Metrics of stores: times of their operations, and numbers of their errors."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from zope.interface import alsoProvides, directlyProvides, implementer, providedBy

from was_daemon.model import errors
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    ICreates,
    IFileReader,
    IMoves,
    IStages,
    IStagingFile,
)
from was_daemon.model.keys import AssetKey
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.telemetry.metrics import Metrics

T = TypeVar("T")

_NAMES: dict[type[Exception], str] = {
    errors.StoreUnavailable: "unavailable",
    errors.StoreFailed: "failed",
    errors.StoreTimeout: "timeout",
    errors.NoSpace: "no_space",
}
_ERRORS = tuple(_NAMES)
"""Errors of stores. Errors of clients, and uploads they withdraw, do not count."""


class _Operations:
    """Metrics of the operations of one store."""

    def __init__(self, metrics: Metrics, store: str) -> None:
        self._errors = metrics.store_errors
        self._store = store
        names = ("stat", "open", "write", "delete", "check", "stage", "adopt", "create", "move", "copy")
        self._seconds = {name: metrics.store_seconds.labels(store, name) for name in names}

    async def timed(self, operation: str, result: Awaitable[T]) -> T:
        """Await and return `result`; observe the seconds it took, and its error."""
        begin = time.perf_counter()
        try:
            return await result
        except (errors.CannotCreate, errors.CannotMove):
            # A server that cannot do something has not failed: the daemon does it itself.
            raise
        except _ERRORS as error:
            self.failed(operation, error)
            raise
        finally:
            self._seconds[operation].observe(time.perf_counter() - begin)

    def failed(self, operation: str, error: Exception) -> None:
        """Count an error."""
        kind = next(name for kind, name in _NAMES.items() if isinstance(error, kind))
        self._errors.labels(self._store, operation, kind).inc()


@implementer(IAssetReader)
class _ObservedReader:
    """Reader whose errors are counted."""

    def __init__(self, reader: IAssetReader, operations: _Operations) -> None:
        self.stat: AssetStat = reader.stat
        self.close = reader.close
        self._reader = reader
        self._operations = operations
        if IFileReader.providedBy(reader):
            self.file = IFileReader(reader).file
            alsoProvides(self, IFileReader)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        async with aclosing(self._reader.read(start, stop)) as chunks:
            try:
                async for chunk in chunks:
                    yield chunk
            except _ERRORS as error:
                self._operations.failed("read", error)
                raise


def observed(store: IAssetStore, metrics: Metrics, name: str) -> IAssetStore:
    """Return a store that works like `store`, provides the same interfaces, and is observed by `metrics` as `name`."""
    watched = _ObservedStore(store, _Operations(metrics, name))
    directlyProvides(watched, providedBy(store))
    return cast(IAssetStore, watched)


class _ObservedStore:
    def __init__(self, store: IAssetStore, operations: _Operations) -> None:
        self._store = store
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        # Methods of further interfaces, also of plugins' own ones.
        return getattr(self._store, name)

    def __str__(self) -> str:
        return str(self._store)

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        return await self._operations.timed("stat", self._store.stat(key))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        reader = await self._operations.timed("open", self._store.open(key))
        # Reads from memory cannot fail.
        return reader if isinstance(reader, MemoryReader) else _ObservedReader(reader, self._operations)

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        return await self._operations.timed("write", self._store.write(key, chunks, size))

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        await self._operations.timed("delete", self._store.delete(key))

    async def check(self) -> None:
        """See `IAssetStore`."""
        await self._operations.timed("check", self._store.check())

    async def stage(self, near: AssetKey | None) -> IStagingFile:
        """See `IStages`."""
        return await self._operations.timed("stage", IStages(self._store).stage(near))

    async def adopt(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `IStages`."""
        return await self._operations.timed("adopt", IStages(self._store).adopt(staged, key))

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ICreates`."""
        return await self._operations.timed("create", ICreates(self._store).create(staged, key))

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        await self._operations.timed("move", IMoves(self._store).move(source, target, replace))

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`."""
        await self._operations.timed("copy", IMoves(self._store).copy(source, target))
