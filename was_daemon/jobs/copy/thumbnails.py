"""Selection of the thumbnails that are worth a copy."""

from collections.abc import Sequence
from contextlib import suppress

from was_daemon.derivatives.owners import Owners
from was_daemon.derivatives.thumbnails import Thumbnail, ThumbnailKind
from was_daemon.jobs.copy.copier import Copier
from was_daemon.library.collections import Collections, Place
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Layout, ThumbnailAddress


class CurrentThumbnails:
    """Selection of thumbnails that show the current version of a copied original.

    A copy of an outdated thumbnail would look newer than its original, and no one could tell that it shows another
    version.
    """

    def __init__(self, copier: Copier, directories: Sequence[str]) -> None:
        self._copier = copier
        places = {directory: _place(directory, copier.source) for directory in directories}
        self._collections = Collections(_place("", copier.source), places)
        self._owners = Owners(self._collections)
        # Finds thumbnails and makes none.
        self._kind = ThumbnailKind(max_pixels=0)

    async def original_of(self, thumbnail: AssetKey) -> AssetKey | None:
        """Return the original whose current version `thumbnail` shows, if both stores have that version; else None."""
        with suppress(AssetNotFound):
            address = ThumbnailAddress.parse(Layout.FLAT.path(thumbnail))
            for key in await self._owners.of(address):
                if await self._copier.is_known_copy(key) and await self._is_current(key, address.scale):
                    return key
        return None

    async def _is_current(self, key: AssetKey, scale: int) -> bool:
        reader = await self._kind.find(await self._collections.find(key), Thumbnail(scale))
        if reader:
            await reader.close()
        return reader is not None


def _place(directory: str, store: IAssetStore) -> Place:
    return Place(directory, store, store)
