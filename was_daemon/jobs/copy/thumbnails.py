"""Selection of the thumbnails that are worth a copy."""

from collections.abc import Sequence
from contextlib import suppress

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.config.settings import Settings
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.owners import Owners
from was_daemon.derivatives.thumbnails import Thumbnail, ThumbnailKind
from was_daemon.jobs.copy.copier import Copier
from was_daemon.library.collections import Collections, Place
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Layout, ThumbnailAddress
from was_daemon.workers.pool import WorkerPool


class CurrentThumbnails:
    """Selection of thumbnails that show the current version of a copied original.

    A copy of an outdated thumbnail would look newer than its original, and no one could tell that it shows another
    version.
    """

    def __init__(self, settings: Settings, copier: Copier, directories: Sequence[str]) -> None:
        self._copier = copier
        places = {directory: _place(directory, copier.source) for directory in directories}
        self._collections = Collections(_place("", copier.source), places)
        self._owners = Owners(self._collections)
        limits = settings.thumbnails
        # Only used to find thumbnails, which needs neither the spool nor the pool.
        self._derivatives = Derivatives(
            self._collections,
            KeyLocks(),
            Spool(settings.spool.path, 0),
            WorkerPool(1, limits.timeout, limits.memory, limits.queue),
            [ThumbnailKind(limits.max_pixels)],
        )

    async def original_of(self, thumbnail: AssetKey) -> AssetKey | None:
        """Return the original whose current version `thumbnail` shows, if both stores have that version; else None."""
        with suppress(AssetNotFound):
            address = ThumbnailAddress.parse(Layout.FLAT.path(thumbnail))
            for key in await self._owners.of(address):
                if await self._copier.is_known_copy(key) and await self._is_current(key, address.scale):
                    return key
        return None

    async def _is_current(self, key: AssetKey, scale: int) -> bool:
        reader = await self._derivatives.find(await self._collections.find(key), Thumbnail(scale))
        if reader:
            await reader.close()
        return reader is not None


def _place(directory: str, store: IAssetStore) -> Place:
    return Place(directory, store, store)
