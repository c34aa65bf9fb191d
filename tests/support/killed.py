"""A store whose process is killed at one of its steps: nothing that would tidy up is run afterwards."""

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from zope.interface import directlyProvides, implementer, providedBy

from was_daemon.model.errors import AssetExists
from was_daemon.model.interfaces import AssetStat, IAssetStore, IMoves
from was_daemon.model.keys import AssetKey
from was_daemon.model.lookup import find_stat
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, read_asset


class Killed(BaseException):
    """The process is killed; no handler of errors catches it."""


@implementer(IMoves)
class CopyingStore(MemoryStore):
    """A store that moves by a copy and a deletion, as object stores do; `step` is called between the two."""

    def __init__(self) -> None:
        super().__init__()
        self.step: Callable[[], None] = lambda: None

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        if not replace and await find_stat(self, target):
            raise AssetExists("there is one")
        await self.copy(source, target)
        self.step()
        await self.delete(source)

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        await self.write(target, chunked(await read_asset(self, source)))


class KilledStore:
    """A store as the daemon sees it that is killed at the step with the number `at`, counted from 1.

    A step is a moment before or after something changes.
    """

    def __init__(self, store: IAssetStore, at: int) -> None:
        self._store: Any = store
        self._left = at
        if isinstance(store, CopyingStore):
            store.step = self._step

    @classmethod
    def over(cls, store: IAssetStore, at: int) -> IAssetStore:
        """Return it, with the interfaces of `store`."""
        killed = cls(store, at)
        directlyProvides(killed, providedBy(store))
        return cast(IAssetStore, killed)

    def _step(self) -> None:
        self._left -= 1
        if not self._left:
            raise Killed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        self._step()
        stat: AssetStat = await self._store.write(key, chunks, size)
        self._step()
        return stat

    async def delete(self, key: AssetKey) -> None:
        self._step()
        await self._store.delete(key)
        self._step()

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        self._step()
        await self._store.move(source, target, replace)
        self._step()

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        self._step()
        await self._store.copy(source, target)
        self._step()
