"""Downloads that the daemon leaves to others: to the store, at an address of its own, or to nginx, from the disk."""

from collections.abc import Mapping
from urllib.parse import quote

import attrs

from was_daemon.library.collections import Collections
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IRedirects
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.redirect import Redirect


@attrs.frozen
class StoreRedirects:
    """The redirects of one store's originals and thumbnails, None where the daemon sends the bytes.

    `name` is the store's name in the configuration.
    """

    name: str
    originals: Redirect | None
    thumbnails: Redirect | None


@attrs.frozen
class Redirects:
    """The redirects of the stores of `collections`; the daemon sends everything from stores that are not in `stores`.

    `nginx_location` is the location below which nginx has the files.
    """

    collections: Collections
    stores: Mapping[IAssetStore, StoreRedirects] = attrs.field(factory=dict)
    nginx_location: str = ""

    def thumbnail(self, key: AssetKey, scale: int) -> AssetKey | None:
        """Return the key of a thumbnail of the original `key` if others send it, None if the daemon does."""
        place = self.collections.place(key)
        redirects = self.stores.get(place.thumbnails)
        if not redirects or not redirects.thumbnails or place.makes_thumbnails:
            return None
        # Several originals share the name of a PNG: only what is opened here is known to be the right one.
        return None if key.thumbnail_extension == ".png" else key.thumbnail(scale)

    def has_url(self, key: AssetKey) -> bool:
        """Return whether clients that ask for `key` are to be redirected to its `url`."""
        return self._redirect(key) is Redirect.PRESIGNED

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """Fire with the address of `key` in its store, see `IRedirects`; raises `AssetNotFound`."""
        return await IRedirects(self._store(key)).url(key, media_type, download_name)

    def nginx_path(self, key: AssetKey) -> str | None:
        """Return the percent-encoded address at which nginx finds the file of `key`; None if nginx does not send it."""
        if self._redirect(key) is not Redirect.NGINX:
            return None
        store = self._store(key)
        files = ILocalFiles(store)
        path = files.path(key).relative_to(files.root).as_posix()
        return f"{self.nginx_location}/{quote(self.stores[store].name, safe='')}/{quote(path)}"

    def _redirect(self, key: AssetKey) -> Redirect | None:
        redirects = self.stores.get(self._store(key))
        if not redirects:
            return None
        return redirects.originals if key.kind is Kind.ORIGINAL else redirects.thumbnails

    def _store(self, key: AssetKey) -> IAssetStore:
        place = self.collections.place(key)
        return place.store if key.kind is Kind.ORIGINAL else place.thumbnails
