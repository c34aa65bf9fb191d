"""Which thumbnails of a store are worth a copy."""

from collections.abc import Sequence
from contextlib import suppress

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.config.settings import Settings
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.owners import Owners
from was_daemon.derivatives.thumbnails import Thumbnail, ThumbnailKind
from was_daemon.jobs.copying.copier import Copier
from was_daemon.library.collections import Collections, Place
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Layout, ThumbnailAddress
from was_daemon.workers.pool import WorkerPool


class CurrentThumbnails:
    """Tells the thumbnails of what was copied from those that are old, or have lost their original.

    A copy is new: nobody could tell any more that it is older than its original, or that the other store has another
    original of that name.
    """

    def __init__(self, settings: Settings, copier: Copier, directories: Sequence[str]) -> None:
        self._copier = copier
        places = {directory: _place(directory, copier.source) for directory in directories}
        self._collections = Collections(_place("", copier.source), places)
        self._owners = Owners(self._collections)
        limits = settings.thumbnails
        # Nothing is made: neither the spool nor the pool is ever used.
        self._derivatives = Derivatives(
            self._collections,
            KeyLocks(),
            Spool(settings.spool.path, 0),
            WorkerPool(1, limits.timeout, limits.memory, limits.queue),
            [ThumbnailKind(limits.max_pixels)],
        )

    async def shown(self, thumbnail: AssetKey) -> AssetKey | None:
        """The original that it shows as it is now, if both stores have that."""
        with suppress(AssetNotFound):
            address = ThumbnailAddress.parse(Layout.FLAT.path(thumbnail))
            for key in await self._owners.of(address):
                if await self._copier.is_known_copy(key) and await self._is_new(key, address.scale):
                    return key
        return None

    async def _is_new(self, key: AssetKey, scale: int) -> bool:
        reader = await self._derivatives.find(await self._collections.find(key), Thumbnail(scale))
        if reader:
            await reader.close()
        return reader is not None


def _place(directory: str, store: IAssetStore) -> Place:
    return Place(directory, store, store)
