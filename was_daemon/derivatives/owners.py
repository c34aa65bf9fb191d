"""The originals that a stored thumbnail may belong to, found with a bounded number of look-ups."""

from contextlib import aclosing, suppress

from twisted.internet.defer import DeferredLock

from was_daemon.derivatives.thumbnail_files import beginning, owner_of
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetNotFound, BadName
from was_daemon.model.keys import MAX_DIGITS, AssetKey, Kind, Layout, ThumbnailAddress, is_shortened
from was_daemon.model.lookup import find_stat

_OFFICIAL_PNG = (".png", ".pdf", ".tif", ".tiff", ".heic", ".heif", ".PDF", ".TIF", ".TIFF", ".HEIC", ".HEIF")
"""Extensions of originals of which the official server makes PNG thumbnails, without recording the original."""


async def possible_owners(collections: Collections, address: ThumbnailAddress) -> list[AssetKey]:
    """Fire with the originals that the thumbnail at `address` may belong to, whether or not they exist.

    Raises `AssetNotFound` when only the stored thumbnail can tell, and there is none.
    """
    names = [address.root + address.extension]
    if address.extension == ".png":
        place = collections.place(address.key)
        owner = None if place.makes_thumbnails else await owner_of(place.thumbnails, address.key)
        names = [owner] if owner else [address.root + extension for extension in _OFFICIAL_PNG]
    owners = []
    for name in names:
        with suppress(BadName):
            key = AssetKey(address.collection, Kind.ORIGINAL, name)
            if key.thumbnail(address.scale) == address.key:
                owners.append(key)
    return owners


async def has_owner(collections: Collections, thumbnail: AssetKey) -> bool:
    """Fire with whether one of the originals that a stored thumbnail may belong to exists.

    Fires with False for names that no thumbnail has, and for shortened names, which do not contain the original's.
    """
    try:
        owners = await possible_owners(collections, ThumbnailAddress.parse(Layout.FLAT.path(thumbnail)))
    except (AssetNotFound, BadName):
        return False
    for key in owners:
        if await find_stat(collections.place(key).store, key):
            return True
    return False


class Owners:
    """The originals of stored thumbnails, for commands that go through all thumbnails.

    The originals of shortened names are found by listing the originals of their collection, once.
    """

    def __init__(self, collections: Collections) -> None:
        self._collections = collections
        self._long_names: dict[str, dict[tuple[str, str], AssetKey]] = {}
        self._lock = DeferredLock()

    async def of(self, address: ThumbnailAddress) -> list[AssetKey]:
        """Fire with the originals that the thumbnail stored at `address` may belong to, whether or not they exist.

        Raises what the stores raise.
        """
        if not is_shortened(address.root):
            return await possible_owners(self._collections, address)
        async with self._lock:
            if address.collection not in self._long_names:
                self._long_names[address.collection] = await self._find_long_names(address)
        key = self._long_names[address.collection].get((f"{address.root}_", address.extension))
        return [key] if key else []

    async def _find_long_names(self, address: ThumbnailAddress) -> dict[tuple[str, str], AssetKey]:
        """Fire with the originals in the collection of `address` whose thumbnails have shortened names.

        The keys of the dictionary are the beginning and the extension of these names.
        """
        found = {}
        store = self._collections.place(address.key).store
        async with aclosing(store.list(address.collection, Kind.ORIGINAL)) as keys:
            async for key in keys:
                for digits in range(1, MAX_DIGITS + 1):
                    start = beginning(key, digits)
                    if is_shortened(start.removesuffix("_")):
                        found[start, key.thumbnail_extension] = key
        return found
