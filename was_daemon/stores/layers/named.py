"""Stores whose originals are listed by names that somebody else knows."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from zope.interface import directlyProvides, providedBy

from was_daemon.model.errors import BadName
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind

Names: TypeAlias = Callable[[str], AsyncGenerator[str, None]]
"""Function that yields the names of the originals of the collection in a directory, whether or not they exist."""


def _no_matter(_name: str, _reason: str) -> None:
    """Pass over a name."""


def named(store: IAssetStore, names: Names, unusable: Callable[[str, str], None] = _no_matter) -> IAssetStore:
    """Return a store that works like `store`, and lists the originals that `names` yields, whether or not they exist.

    It provides the same interfaces. `unusable` is told of each name that no asset can have, and of the reason.
    """
    wrapped = _NamedStore(store, names, unusable)
    directlyProvides(wrapped, providedBy(store))
    return cast(IAssetStore, wrapped)


class _NamedStore:
    def __init__(self, store: IAssetStore, names: Names, unusable: Callable[[str, str], None]) -> None:
        self._store = store
        self._names = names
        self._unusable = unusable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def __str__(self) -> str:
        return str(self._store)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        if kind is not Kind.ORIGINAL:
            async with aclosing(self._store.list(collection, kind, prefix)) as keys:
                async for key in keys:
                    yield key
            return
        async with aclosing(self._names(collection)) as names:
            async for name in names:
                if not name.startswith(prefix):
                    continue
                try:
                    key = AssetKey(collection, kind, name)
                except BadName as error:
                    self._unusable(name, str(error))
                    continue
                yield key
