"""Who sends the bytes instead of the daemon: the store, from an address of its own, or nginx, from the disk."""

import enum
from collections.abc import Mapping
from urllib.parse import quote

import attrs

from was_daemon.collections import Collections
from was_daemon.interfaces import IAssetStore, ILocalFiles, IRedirects
from was_daemon.keys import AssetKey, Kind


class Redirect(enum.Enum):
    """Who sends them; the value is the config's word."""

    PRESIGNED = "presigned"
    NGINX = "nginx"


@attrs.frozen
class Way:
    """Who sends what a store holds, None for the daemon; `name` is what the configuration calls the store."""

    name: str
    originals: Redirect | None
    thumbnails: Redirect | None


@attrs.frozen
class Redirects:
    """The ways of all stores of `collections`; below `nginx_location` nginx has the files of those on the disk."""

    collections: Collections
    ways: Mapping[IAssetStore, Way] = attrs.field(factory=dict)
    nginx_location: str = ""

    def has_url(self, key: AssetKey) -> bool:
        """Whether to send whoever wants `key` to its `url`."""
        return self._way(self._holder(key), key) is Redirect.PRESIGNED

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """The address of `key` in its store, see `IRedirects`; raises `AssetNotFound`."""
        return await IRedirects(self._holder(key)).url(key, media_type, download_name)

    def nginx_path(self, key: AssetKey) -> str | None:
        """The address, percent-encoded, at which nginx finds the file of `key`; None when it does not send it."""
        store = self._holder(key)
        if self._way(store, key) is not Redirect.NGINX:
            return None
        files = ILocalFiles(store)
        path = files.path(key).relative_to(files.root).as_posix()
        return f"{self.nginx_location}/{quote(self.ways[store].name, safe='')}/{quote(path)}"

    def _holder(self, key: AssetKey) -> IAssetStore:
        place = self.collections.place(key)
        return place.store if key.kind is Kind.ORIGINAL else place.thumbnails

    def _way(self, store: IAssetStore, key: AssetKey) -> Redirect | None:
        way = self.ways.get(store)
        if not way or key.kind is Kind.ORIGINAL:
            return way.originals if way else None
        # Several originals share the name of a PNG: only what is opened here is known to be the right one. And where
        # the store makes thumbnails itself, it holds none.
        is_alone = not key.name.endswith(".png") and not self.collections.place(key).makes_thumbnails
        return way.thumbnails if is_alone else None
