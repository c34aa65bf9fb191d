"""A store in memory that moves assets as one step, as file systems do."""

import attrs
from zope.interface import implementer

from was_daemon.model.errors import AssetExists
from was_daemon.model.interfaces import AssetStat, IMoves
from was_daemon.model.keys import AssetKey
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked


@implementer(IMoves)
class MovingStore(MemoryStore):
    """Store in memory; `put` is what somebody does behind the daemon's back."""

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        reader = self._find(source)
        if not replace and target in self._assets:
            raise AssetExists("there is one")
        self._assets[target] = self._assets.pop(source)
        assert self._assets[target] is reader

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        self._assets[target] = self._find(source)

    async def put(self, key: AssetKey, content: bytes, modified: float | None = None) -> AssetStat:
        stat = await self.write(key, chunked(content))
        if modified is not None:
            stat = attrs.evolve(stat, modified=modified)
            self._assets[key] = attrs.evolve(self._assets[key], stat=stat)
        return stat

    @property
    def keys(self) -> set[AssetKey]:
        return set(self._assets)
