"""Servers of the Image API that stores have: viewers are sent there, or this daemon asks in their place."""

from collections.abc import Mapping
from typing import Any

from was_daemon.library.collections import Collections
from was_daemon.library.redirects import OpenAsset
from was_daemon.model.interfaces import IImageProxy, IImageService
from was_daemon.model.keys import AssetKey


class ImageServers:
    """The image servers behind the stores of all collections. Every method raises what the store raises."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections

    async def address(self, key: AssetKey, page: int, version: int) -> str | None:
        """Fire with the URI of a picture in the server of its store, None when viewers are not sent there.

        See `IImageService`.
        """
        store = self._collections.place(key).store
        if not IImageService.providedBy(store):
            return None
        return await IImageService(store).image_service(key, page, version)

    def is_asked(self, key: AssetKey) -> bool:
        """Return whether the store's server is asked for the picture `key`, instead of this daemon or the viewer."""
        return bool(IImageProxy.providedBy(self._collections.place(key).store))

    async def information(self, key: AssetKey, page: int, version: int) -> Mapping[str, Any]:
        """Fire with the `info.json` of a picture for which the store is asked, see `IImageProxy`."""
        store = self._collections.place(key).store
        found: Mapping[str, Any] = await IImageProxy(store).image_information(key, page, version)
        return found

    async def open(self, key: AssetKey, page: int, version: int, parameters: str) -> OpenAsset:
        """Open a part of a picture for which the store is asked, see `IImageProxy`; the caller closes it."""
        store = self._collections.place(key).store
        return OpenAsset(*await IImageProxy(store).open_image(key, page, version, parameters))
