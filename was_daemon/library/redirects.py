"""The sender of an asset's bytes: this daemon, the store from a URL of its own, or nginx from the disk.

`RULES` has, for all stores alike, the conditions on the store and on the request for each value of `redirect`. The
setting applies to the originals that a store holds, and with `redirect_thumbnails` to the thumbnails in it, too.
"""

from collections.abc import Callable, Mapping
from urllib.parse import quote

import attrs
from zope.interface import Interface

from was_daemon.library.collections import Collections
from was_daemon.model.interfaces import IAssetReader, IAssetStore, ILocalFiles, IRedirects
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.media import media_type, runs_scripts, type_of_extension
from was_daemon.model.mirror import ICopyReader
from was_daemon.model.redirect import Redirect


@attrs.frozen
class Recipient:
    """The client of one download.

    `address` is that of the client, `download_name` the name it wants the file to have. `can_be_redirected` is whether
    the request may be answered with another URL, `is_behind_nginx` whether it came through an nginx that sends files.
    """

    address: str
    can_be_redirected: bool = False
    is_behind_nginx: bool = False
    download_name: str | None = None


@attrs.frozen
class OpenAsset:
    """An asset to send from here; the caller closes `reader`.

    `nginx_path` is the percent-encoded path at which nginx finds the same file, None when nginx does not send it.
    """

    reader: IAssetReader
    media_type: str
    nginx_path: str | None = None


@attrs.frozen
class AssetUrl:
    """An asset that the client fetches from its store, at an absolute URL."""

    url: str


@attrs.frozen
class Rule:
    """The conditions of one kind of redirect.

    `needs` is the interface that a store provides for it, `lacking` names the ability that a store without it lacks.
    `applies` tells for a recipient and a media type whether the asset goes that way; otherwise the daemon sends it.
    """

    needs: type[Interface]
    lacking: str
    applies: Callable[[Recipient, str], bool]


RULES: Mapping[Redirect, Rule] = {
    Redirect.PRESIGNED: Rule(
        IRedirects,
        "addresses to send clients to",
        # A store would send a page without the policy that keeps its scripts from running.
        lambda recipient, media_type: recipient.can_be_redirected and not runs_scripts(media_type),
    ),
    Redirect.NGINX: Rule(
        ILocalFiles, "files that nginx could send", lambda recipient, _media_type: recipient.is_behind_nginx
    ),
}


@attrs.frozen
class StoreRedirects:
    """The redirects of one store: of its originals, and of the thumbnails in it; None where the daemon sends.

    `name` is that of the store in the configuration.
    """

    name: str
    originals: Redirect | None
    thumbnails: Redirect | None


@attrs.frozen
class Redirects:
    """The redirects of all stores of `collections`; the daemon sends everything of a store that is not in `stores`.

    `nginx_location` is the path below which nginx has the files of these stores.
    """

    collections: Collections
    stores: Mapping[IAssetStore, StoreRedirects] = attrs.field(factory=dict)
    nginx_location: str = ""

    def original(self, key: AssetKey, recipient: Recipient) -> Redirect | None:
        """Return how an original gets to its recipient; None when the daemon sends it."""
        store = self.stores.get(self.collections.place(key).store)
        return _applying(store.originals, recipient, media_type(key.name)) if store else None

    def thumbnail(self, key: AssetKey, recipient: Recipient) -> Redirect | None:
        """Return how a thumbnail of the original `key` gets to its recipient; None when the daemon sends it."""
        place = self.collections.place(key)
        store = self.stores.get(place.thumbnails)
        # Several originals share the name of a PNG: only a thumbnail that is opened here is known to be the right one.
        if not store or place.has_pictures or key.thumbnail_extension == ".png":
            return None
        return _applying(store.thumbnails, recipient, type_of_extension(key.thumbnail_extension))

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> AssetUrl:
        """Fire with the URL of `key` in its store, see `IRedirects`; raises `AssetNotFound`."""
        return AssetUrl(await IRedirects(self._holder(key)).url(key, media_type, download_name))

    def nginx_path(self, key: AssetKey, reader: IAssetReader) -> str | None:
        """Return the percent-encoded path at which nginx finds the file of `key`; None if `reader` reads a copy."""
        if ICopyReader.providedBy(reader):
            return None
        store = self._holder(key)
        files = ILocalFiles(store)
        path = files.path(key).relative_to(files.root).as_posix()
        return f"{self.nginx_location}/{quote(self.stores[store].name, safe='')}/{quote(path)}"

    def _holder(self, key: AssetKey) -> IAssetStore:
        place = self.collections.place(key)
        return place.store if key.kind is Kind.ORIGINAL else place.thumbnails


def _applying(redirect: Redirect | None, recipient: Recipient, media_type: str) -> Redirect | None:
    return redirect if redirect and RULES[redirect].applies(recipient, media_type) else None
