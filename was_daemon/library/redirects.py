"""Who sends the bytes instead of the daemon: the store, from an address of its own, or nginx, from the disk."""

from collections.abc import Mapping
from urllib.parse import quote

import attrs

from was_daemon.library.collections import Collections
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IRedirects
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.redirect import Redirect


@attrs.frozen
class Way:
    """Who sends what a store holds, None for the daemon; `name` is what the configuration calls the store."""

    name: str
    originals: Redirect | None
    thumbnails: Redirect | None


@attrs.frozen
class Redirects:
    """The ways of those stores of `collections` that the daemon does not send all of itself.

    Below `nginx_location` nginx has their files, where it is the one.
    """

    collections: Collections
    ways: Mapping[IAssetStore, Way] = attrs.field(factory=dict)
    nginx_location: str = ""

    def thumbnail(self, key: AssetKey, scale: int) -> AssetKey | None:
        """The key of a thumbnail of the original `key`, if it is not for the daemon to send."""
        place = self.collections.place(key)
        way = self.ways.get(place.thumbnails)
        if not way or not way.thumbnails or place.makes_thumbnails:
            return None
        # Several originals share the name of a PNG: only what is opened here is known to be the right one.
        return None if key.thumbnail_extension == ".png" else key.thumbnail(scale)

    def has_url(self, key: AssetKey) -> bool:
        """Whether to send whoever wants `key` to its `url`."""
        return self._way(key) is Redirect.PRESIGNED

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """The address of `key` in its store, see `IRedirects`; raises `AssetNotFound`."""
        return await IRedirects(self._holder(key)).url(key, media_type, download_name)

    def nginx_path(self, key: AssetKey) -> str | None:
        """The address, percent-encoded, at which nginx finds the file of `key`; None when it does not send it."""
        if self._way(key) is not Redirect.NGINX:
            return None
        store = self._holder(key)
        files = ILocalFiles(store)
        path = files.path(key).relative_to(files.root).as_posix()
        return f"{self.nginx_location}/{quote(self.ways[store].name, safe='')}/{quote(path)}"

    def _way(self, key: AssetKey) -> Redirect | None:
        way = self.ways.get(self._holder(key))
        if not way:
            return None
        return way.originals if key.kind is Kind.ORIGINAL else way.thumbnails

    def _holder(self, key: AssetKey) -> IAssetStore:
        place = self.collections.place(key)
        return place.store if key.kind is Kind.ORIGINAL else place.thumbnails
