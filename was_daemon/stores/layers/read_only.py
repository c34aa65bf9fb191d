"""A store that is only read, around a store that could be written to."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, NoReturn, cast

from zope.interface import directlyProvides, providedBy

from was_daemon.model.composition import IComposedStore
from was_daemon.model.errors import AssetNotFound, StoreUnavailable
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    IImageProxy,
    IImageService,
    IReadOnly,
    IRedirects,
    IRooted,
    ISizes,
    IThumbnails,
)
from was_daemon.model.keys import AssetKey, Kind

_KEPT = (IComposedStore, IRooted, ISizes, IRedirects, IThumbnails, IImageService, IImageProxy)
"""Interfaces that are about reading. Others are about changes, or leave traces in the store."""

_ANY = AssetKey("", Kind.ORIGINAL, "any")


def read_only(store: IAssetStore) -> IAssetStore:
    """Return a store that reads as `store` does, and refuses every change."""
    guarded = _ReadOnlyStore(store)
    directlyProvides(guarded, IAssetStore, IReadOnly, *(each for each in _KEPT if each in providedBy(store)))
    return cast(IAssetStore, guarded)


class _ReadOnlyStore:
    def __init__(self, store: IAssetStore) -> None:
        self._store = store
        self._was_there = not IRooted.providedBy(store)

    def __getattr__(self, name: str) -> Any:
        # Methods of further interfaces.
        return getattr(self._store, name)

    def __str__(self) -> str:
        return f"{self._store}, read-only"

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        try:
            return await self._store.stat(key)
        except AssetNotFound:
            await self._check_directory()
            raise

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        try:
            return await self._store.open(key)
        except AssetNotFound:
            await self._check_directory()
            raise

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        await self._check_directory()
        async with aclosing(self._store.list(collection, kind, prefix)) as keys:
            async for key in keys:
                yield key

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> NoReturn:
        """Refuse; see `IReadOnly`."""
        raise StoreUnavailable("this store is read-only")

    async def delete(self, key: AssetKey) -> NoReturn:
        """Refuse; see `IReadOnly`."""
        raise StoreUnavailable("this store is read-only")

    async def check(self) -> None:
        """See `IReadOnly`."""
        with suppress(AssetNotFound):
            await self.stat(_ANY)

    async def _check_directory(self) -> None:
        """Raise `StoreUnavailable` when the directory is missing: its disk is not mounted, and nothing was deleted."""
        if not self._was_there and not await IRooted(self._store).exists():
            raise StoreUnavailable("the store's directory does not exist; is its disk mounted?")
        self._was_there = True

    async def close(self) -> None:
        """See `IAssetStore`."""
        await self._store.close()
