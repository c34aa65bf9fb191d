"""Answers to requests of the Image API."""

from posixpath import splitext
from urllib.parse import quote

import attrs

from was_daemon.derivatives.pyramids import OpenPyramid
from was_daemon.derivatives.zoom import View, Zoom
from was_daemon.httpd.request import AssetRequest
from was_daemon.library.image_servers import ImageServers
from was_daemon.library.redirects import OpenAsset
from was_daemon.model.captions import CaptionSource
from was_daemon.model.errors import AssetNotFound, VersionGone
from was_daemon.model.interfaces import IAssetReader
from was_daemon.model.keys import MAX_PAGE
from was_daemon.telemetry.metrics import Metrics
from was_daemon.web.access import AccessRules
from was_daemon.web.downloads import is_known, send
from was_daemon.web.iiif.answers import Documents, document_answer, redirect_to
from was_daemon.web.iiif.authorisation import PictureRequest, with_capability
from was_daemon.web.iiif.descriptive import captioned
from was_daemon.web.iiif.identifiers import Identifier
from was_daemon.web.iiif.info import CONTEXTS, PROFILES, image_information
from was_daemon.web.iiif.limits import Limits
from was_daemon.web.iiif.parameters import FORMATS, ImageRequest, Rendering, parse_parameters, resolve

_BASE: tuple[list[str], ...] = ([], [""])
_INFORMATION = ["info.json"]
_LAST_WITH_AT = 2
"""Last version of the API whose properties begin with @."""


class ImageServer:
    """The Image API: versions 3.0 and 2.1.1, of pictures of any collection."""

    def __init__(
        self,
        zoom: Zoom,
        access: AccessRules,
        limits: Limits,
        *,
        servers: ImageServers,
        documents: Documents,
        address_lifetime: float,
        metrics: Metrics,
        caption: CaptionSource,
    ) -> None:
        self._zoom = zoom
        self._access = access
        self._servers = servers
        self._documents = documents
        self._addresses = documents.addresses
        self._limits = limits
        self._caption = caption
        self._address_lifetime = address_lifetime
        self._delivered = {source: metrics.pictures.labels(source) for source in ("tile", "view", "store")}

    async def answer(self, request: AssetRequest, picture: PictureRequest) -> bytes:
        """Answer a request that is allowed."""
        version, identifier = picture.version, picture.identifier
        rest = _INFORMATION if picture.rest in _BASE else picture.rest
        address = self._address(request, version, identifier)
        if picture.needs_capability:
            # Whoever follows has an address that lasts, and can be copied into another viewer.
            signed = with_capability(self._access, identifier, self._address_lifetime)
            return redirect_to(request, self._address(request, version, signed), rest)
        elsewhere = await self._servers.address(picture.key, identifier.page, version)
        if elsewhere or picture.rest in _BASE:
            return redirect_to(request, elsewhere or address, rest)
        if rest == _INFORMATION:
            return await self._information(request, picture, address)
        if len(rest) != 4:
            raise AssetNotFound("no such picture")
        parameters = parse_parameters(version, *rest)
        if self._servers.is_asked(picture.key):
            return await self._image_of_store(request, picture, parameters)
        return await self._image(request, picture, parameters)

    def _address(self, request: AssetRequest, version: int, identifier: Identifier) -> str:
        return f"{self._addresses.base_url(request)}/iiif/{version}/{identifier}"

    def _manifest(self, request: AssetRequest, identifier: Identifier) -> str:
        whole = attrs.evolve(identifier, page=1)
        return f"{self._addresses.base_url(request)}/iiif/presentation/3/{whole}/manifest"

    async def _information(self, request: AssetRequest, picture: PictureRequest, address: str) -> bytes:
        version, pages = picture.version, 1
        if self._servers.is_asked(picture.key):
            told = await self._servers.information(picture.key, picture.identifier.page, version)
            content = {**told, "@context": CONTEXTS[version], "id" if version > _LAST_WITH_AT else "@id": address}
        else:
            pyramid = await self._open(request, picture)
            await pyramid.reader.close()
            pages = min(pyramid.index.pages, MAX_PAGE)
            content = image_information(version, address, pyramid.index.geometry, self._limits)
        content |= captioned(version, await self._caption(picture.key), self._manifest(request, picture.identifier))
        if self._documents.is_known(request, picture.is_private, sorted(content.items())):
            return b""
        body = document_answer(request, content, is_linked_data=version > _LAST_WITH_AT)
        if pages > 1:
            request.responseHeaders.addRawHeader("Link", _link_to_last_page(picture.identifier, pages))
        return body

    async def _image_of_store(self, request: AssetRequest, picture: PictureRequest, parameters: ImageRequest) -> bytes:
        """Send a picture that the store's server makes; `parameters` are known to be well-formed."""
        rest = "/".join(quote(part, safe=",:!^") for part in picture.rest)
        asset = await self._servers.open(picture.key, picture.identifier.page, picture.version, rest)
        self._delivered["store"].inc()
        name = _file_name(picture.identifier, None, parameters.format)
        return await send(request, asset, self._documents.caching.cache_control(picture.is_private), name)

    async def _open(self, request: AssetRequest, picture: PictureRequest) -> OpenPyramid:
        return await self._zoom.open(picture.key, picture.identifier.page, self._addresses.client(request))

    async def _image(self, request: AssetRequest, picture: PictureRequest, parameters: ImageRequest) -> bytes:
        try:
            rendering, reader = await self._part(request, picture, parameters)
        except VersionGone:
            # The pyramid was replaced, removed, or found to be damaged: now there is another one.
            rendering, reader = await self._part(request, picture, parameters)
        if reader is None:
            return b""
        self._delivered["tile" if rendering.tile else "view"].inc()
        name = _file_name(picture.identifier, rendering, parameters.format)
        asset = OpenAsset(reader, FORMATS[parameters.format])
        return await send(request, asset, self._documents.caching.cache_control(picture.is_private), name)

    async def _part(
        self, request: AssetRequest, picture: PictureRequest, parameters: ImageRequest
    ) -> tuple[Rendering, IAssetReader | None]:
        """Open what is asked for; fire without a reader when the client has it already."""
        pyramid = await self._open(request, picture)
        try:
            rendering = resolve(parameters, pyramid.index.geometry, self._limits, pyramid.index.is_grey)
            request.setHeader("Link", _links(picture, rendering.canonical(picture.version)))
            if rendering.tile:
                return rendering, await self._zoom.tile(pyramid, rendering.tile)
            view = _view(rendering)
            # What the client has already need not be rendered.
            cache_control = self._documents.caching.cache_control(picture.is_private)
            if is_known(request, self._zoom.stat(pyramid, view), cache_control):
                return rendering, None
            return rendering, await self._zoom.view(pyramid, view, self._addresses.client(request))
        finally:
            await pyramid.reader.close()


def _view(rendering: Rendering) -> View:
    return View(
        rendering.region,
        rendering.size,
        rendering.mirrored,
        float(rendering.rotation),
        rendering.quality,
        rendering.format,
        name=rendering.canonical(3),
    )


def _links(picture: PictureRequest, canonical: str) -> str:
    # Relative to the address of the request, whatever a proxy puts before the path.
    return f'<{PROFILES[picture.version]}>;rel="profile", <../../../{canonical}>;rel="canonical"'


def _link_to_last_page(identifier: Identifier, pages: int) -> str:
    """Return a link by which a viewer learns the number of pages, which the Image API has no word for (RFC 8288)."""
    # Relative to info.json, whatever a proxy puts before the path.
    return f'<../{attrs.evolve(identifier, page=pages)}/info.json>;rel="last"'


def _file_name(identifier: Identifier, rendering: Rendering | None, extension: str) -> str:
    """Return the name for a picture that is saved: that of the asset, its page, and the region that is shown."""
    parts = [splitext(identifier.name)[0]]
    if identifier.page > 1:
        parts.append(f"page {identifier.page}")
    if rendering and rendering.region.size != rendering.picture:
        region = rendering.region
        parts.append(f"{region.x},{region.y},{region.width},{region.height}")
    return f"{' '.join(parts)}.{extension}"
