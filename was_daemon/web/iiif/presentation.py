"""Answers to requests of the Presentation API: manifests, and the bytes of recordings."""

from urllib.parse import urlencode

import attrs

from was_daemon.assets import Assets
from was_daemon.derivatives.zoom import Zoom
from was_daemon.httpd.request import AssetRequest
from was_daemon.library.image_servers import ImageServers
from was_daemon.model.descriptions import Description
from was_daemon.model.errors import AssetNotFound, NotImplementedHere
from was_daemon.model.keys import MAX_PAGE, AssetKey
from was_daemon.model.media import is_recording, media_type
from was_daemon.web.access import AccessRules
from was_daemon.web.downloads import send
from was_daemon.web.iiif.answers import Documents, document_answer, redirect_to
from was_daemon.web.iiif.authorisation import PictureRequest, with_capability
from was_daemon.web.iiif.descriptive import descriptive_properties
from was_daemon.web.iiif.identifiers import Identifier
from was_daemon.web.iiif.manifest import Manifest, Page

_VERSION = 3
_MANIFEST, _MEDIA = "manifest", "media"
_BASE: tuple[list[str], ...] = ([], [""])
_SMALL = 512
"""Pixels of the longer side of a thumbnail, where the server of a store names no sizes."""


@attrs.frozen
class _FirstPage:
    """The first page of an asset: its size, the size of a small version, and the number of pages, None if unknown."""

    size: tuple[int, int]
    small: tuple[int, int]
    pages: int | None = None


class Presentation:
    """The Presentation API, version 3.0, of the assets of any collection."""

    def __init__(
        self,
        assets: Assets,
        zoom: Zoom,
        servers: ImageServers,
        access: AccessRules,
        documents: Documents,
        address_lifetime: float,
    ) -> None:
        self._assets = assets
        self._zoom = zoom
        self._servers = servers
        self._access = access
        self._documents = documents
        self._addresses = documents.addresses
        self._address_lifetime = address_lifetime

    async def answer(self, request: AssetRequest, asked: PictureRequest) -> bytes:
        """Answer a request that is allowed."""
        # A manifest is of all pages, whichever the identifier names.
        identifier = attrs.evolve(asked.identifier, page=1)
        if asked.needs_capability:
            identifier = with_capability(self._access, identifier, self._address_lifetime)
        if asked.needs_capability or asked.rest in _BASE:
            rest = [_MANIFEST] if asked.rest in _BASE else asked.rest
            return redirect_to(request, self._address(request, identifier), rest)
        if asked.rest == [_MANIFEST]:
            return await self._manifest(request, asked, identifier)
        if asked.rest == [_MEDIA]:
            return await self._media(request, asked)
        raise AssetNotFound("no such page")

    def _address(self, request: AssetRequest, identifier: Identifier) -> str:
        return f"{self._addresses.base_url(request)}/iiif/presentation/{_VERSION}/{identifier}"

    async def _manifest(self, request: AssetRequest, asked: PictureRequest, identifier: Identifier) -> bytes:
        key, is_private = asked.key, asked.is_private
        address = self._address(request, identifier)
        version = (await self._assets.stat(key)).etag
        caption = await self._assets.caption(key)
        if self._documents.is_known(request, is_private, version, caption, address, is_private):
            return b""
        client, kind = self._addresses.client(request), media_type(key.name)
        first = None if is_recording(kind) else await self._first_page(key, client)
        description = await self._assets.description(key, client)
        manifest = Manifest(
            f"{address}/{_MANIFEST}",
            # Without the capability: viewers tell canvases apart by it, and annotations name it.
            self._address(request, attrs.evolve(identifier, capability=None)),
            kind,
            descriptive_properties(key.name, description.metadata, caption),
            None if is_private else self._original(request, identifier),
        )
        if first:
            content = manifest.of_pages(self._pages(request, identifier, first, description), first.small)
        elif description.recording:
            content = manifest.of_recording(description.recording, f"{address}/{_MEDIA}")
        else:
            raise NotImplementedHere("the length of this recording cannot be read")
        return document_answer(request, content, is_linked_data=True)

    async def _first_page(self, key: AssetKey, client: str) -> _FirstPage:
        """Raises what `Zoom.open` raises, and `NotImplementedHere` when only another server knows the picture."""
        if self._servers.is_asked(key):
            information = await self._servers.information(key, 1, _VERSION)
            width, height = information["width"], information["height"]
            factor = min(1, _SMALL / max(width, height))
            small = max(1, round(width * factor)), max(1, round(height * factor))
            return _FirstPage((width, height), small)
        if await self._servers.address(key, 1, _VERSION):
            raise NotImplementedHere("another server shows the pictures of this collection; ask it for manifests")
        pyramid = await self._zoom.open(key, 1, client)
        await pyramid.reader.close()
        geometry = pyramid.index.geometry
        # The smallest level is a stored tile.
        return _FirstPage((geometry.width, geometry.height), geometry.levels[-1], pyramid.index.pages)

    def _pages(
        self, request: AssetRequest, identifier: Identifier, first: _FirstPage, description: Description
    ) -> list[Page]:
        base = self._addresses.base_url(request)
        count = min(first.pages or len(description.pages) or 1, MAX_PAGE)
        # A page whose size cannot be read has the size of the first.
        sizes = dict(enumerate(description.pages, 1)) | {1: first.size}
        return [
            Page(f"{base}/iiif/3/{attrs.evolve(identifier, page=number)}", *sizes.get(number, first.size))
            for number in range(1, count + 1)
        ]

    def _original(self, request: AssetRequest, identifier: Identifier) -> str:
        """Return the address of the original, for anybody."""
        collection = {"coll": identifier.collection} if identifier.collection else {}
        return f"{self._addresses.base_url(request)}/fileget?{urlencode({'filename': identifier.name, **collection})}"

    async def _media(self, request: AssetRequest, asked: PictureRequest) -> bytes:
        """Send a recording. Of other kinds, whoever may look at the picture does not get the file with its metadata."""
        if not is_recording(media_type(asked.key.name)):
            raise AssetNotFound("only sounds and films are played")
        name = (await self._assets.caption(asked.key)).name
        asset = await self._assets.deliver(asked.key, self._addresses.recipient(request, name))
        return await send(request, asset, self._documents.caching.cache_control(asked.is_private), name)
