"""Store in memory: the shortest complete store."""

import hashlib
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator

from zope.interface import implementer

from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.memory_reader import MemoryReader


@implementer(IAssetStore)
class MemoryStore:
    """Store that keeps its assets in a dictionary: for tests, and as an example for authors of plugins."""

    def __init__(self) -> None:
        self._assets: dict[AssetKey, MemoryReader] = {}
        self._versions = itertools.count(1)

    async def stat(self, key: AssetKey) -> AssetStat:
        return self._find(key).stat

    async def open(self, key: AssetKey) -> MemoryReader:
        return self._find(key)

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        content = b"".join([chunk async for chunk in chunks])
        etag = hashlib.sha256(f"{next(self._versions)} {key}".encode()).hexdigest()[:16]
        stat = AssetStat(size=len(content), modified=time.time(), etag=etag)
        self._assets[key] = MemoryReader(content, stat)
        return stat

    async def delete(self, key: AssetKey) -> None:
        self._find(key)
        del self._assets[key]

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        for key in list(self._assets):
            if (key.collection, key.kind) == (collection, kind) and key.name.startswith(prefix):
                yield key

    async def check(self) -> None:
        """Pass: memory is always available."""

    async def close(self) -> None:
        self._assets.clear()

    def _find(self, key: AssetKey) -> MemoryReader:
        try:
            return self._assets[key]
        except KeyError:
            raise AssetNotFound("there is no such asset") from None
