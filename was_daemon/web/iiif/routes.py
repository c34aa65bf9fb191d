"""Answers to requests of the Image API."""

import json
from urllib.parse import quote

import attrs

from was_daemon.derivatives.pyramids import OpenPyramid
from was_daemon.derivatives.zoom import View, Zoom
from was_daemon.httpd.request import AssetRequest
from was_daemon.library.redirects import OpenAsset
from was_daemon.model.errors import AssetNotFound
from was_daemon.web.access import AccessRules
from was_daemon.web.addresses import Addresses
from was_daemon.web.answers import text_answer
from was_daemon.web.caching import NO_STORE, CacheRules
from was_daemon.web.downloads import is_known, send
from was_daemon.web.iiif.authorisation import PictureRequest, with_capability
from was_daemon.web.iiif.identifiers import Identifier
from was_daemon.web.iiif.info import CONTEXTS, PROFILES, image_information
from was_daemon.web.iiif.parameters import FORMATS, ImageRequest, Limits, Rendering, parse_parameters, resolve

_BASE: tuple[list[str], ...] = ([], [""])
_INFORMATION = ["info.json"]
_JSON_LD = "application/ld+json"


class ImageServer:
    """The Image API: versions 3.0 and 2.1.1, of pictures of any collection."""

    def __init__(
        self,
        zoom: Zoom,
        access: AccessRules,
        addresses: Addresses,
        limits: Limits,
        *,
        caching: CacheRules,
        address_lifetime: float,
    ) -> None:
        self._zoom = zoom
        self._access = access
        self._addresses = addresses
        self._limits = limits
        self._address_lifetime = address_lifetime
        # Whoever has a signed address has it from the server, which is private then.
        self._cache_control = caching.cache_control(has_token=False)

    async def answer(self, request: AssetRequest, picture: PictureRequest) -> bytes:
        """Answer a request that is allowed."""
        if picture.needs_capability:
            signed = with_capability(self._access, picture.identifier, self._address_lifetime)
            # Whoever follows has an address that lasts, and can be copied into another viewer.
            return _redirect(request, self._address(request, picture.version, signed), picture.rest)
        elsewhere = await self._zoom.elsewhere(picture.key, picture.identifier.page, picture.version)
        if elsewhere:
            return _redirect(request, elsewhere, picture.rest)
        if picture.rest in _BASE:
            return _redirect(request, self._address(request, picture.version, picture.identifier), picture.rest)
        if picture.rest == _INFORMATION:
            return await self._information(request, picture)
        if len(picture.rest) != 4:
            raise AssetNotFound("no such picture")
        return await self._image(request, picture, parse_parameters(picture.version, *picture.rest))

    def _address(self, request: AssetRequest, version: int, identifier: Identifier) -> str:
        return f"{self._addresses.base_url(request)}/iiif/{version}/{identifier}"

    async def _information(self, request: AssetRequest, picture: PictureRequest) -> bytes:
        address = self._address(request, picture.version, picture.identifier)
        pyramid = await self._open(request, picture)
        await pyramid.reader.close()
        content = image_information(picture.version, address, pyramid.index.geometry, self._limits)
        request.setHeader("Vary", "Accept")
        request.setHeader("Cache-Control", self._cache_control)
        if self._addresses.depends_on_requests:
            request.setHeader("Cache-Control", NO_STORE)
            request.setHeader("Vary", "Accept, Host, X-Forwarded-Host, X-Forwarded-Proto")
        media_type = _type_of_information(request, picture.version)
        if pyramid.index.pages > 1:
            request.responseHeaders.addRawHeader("Link", _link_to_last_page(picture.identifier, pyramid.index.pages))
        return text_answer(request, json.dumps(content, indent=1), media_type)

    async def _open(self, request: AssetRequest, picture: PictureRequest) -> OpenPyramid:
        return await self._zoom.open(picture.key, picture.identifier.page, self._addresses.client(request))

    async def _image(self, request: AssetRequest, picture: PictureRequest, parameters: ImageRequest) -> bytes:
        pyramid = await self._open(request, picture)
        try:
            rendering = resolve(parameters, pyramid.index.geometry, self._limits)
            request.setHeader("Link", _links(picture, rendering.canonical(picture.version)))
            if rendering.tile:
                reader = await self._zoom.tile(pyramid, rendering.tile)
            else:
                view = _view(rendering)
                # What the client has already need not be rendered.
                if is_known(request, self._zoom.stat(pyramid, view), self._cache_control):
                    return b""
                reader = await self._zoom.view(pyramid, view, self._addresses.client(request))
        finally:
            await pyramid.reader.close()
        return await send(request, OpenAsset(reader, FORMATS[parameters.format]), self._cache_control)


def _redirect(request: AssetRequest, address: str, rest: list[str]) -> bytes:
    """Send the client to what it asks for of the picture at `address`, or to the description."""
    request.setResponseCode(303)
    request.setHeader("Location", "/".join([address, *map(quote, _INFORMATION if rest in _BASE else rest)]))
    request.setHeader("Cache-Control", NO_STORE)
    return text_answer(request, "elsewhere")


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
    # Relative to this server: the host of the request, which a cache may not know, is not a part of it.
    address = f"/iiif/{picture.version}/{picture.identifier}/{canonical}"
    return f'<{PROFILES[picture.version]}>;rel="profile", <{address}>;rel="canonical"'


def _link_to_last_page(identifier: Identifier, pages: int) -> str:
    """Return a link by which a viewer learns the number of pages, which the Image API has no word for (RFC 8288)."""
    # Relative to info.json, whatever a proxy puts before the path.
    return f'<../{attrs.evolve(identifier, page=pages)}/info.json>;rel="last"'


def _type_of_information(request: AssetRequest, version: int) -> str:
    """Return the media type of `info.json` that a client wants, and link the context if that type does not name it."""
    accepted = request.getHeader("Accept") or ""
    names_json = "application/json" in accepted or "text/html" in accepted
    if _JSON_LD in accepted or (version > 2 and not names_json):
        return f'{_JSON_LD};profile="{CONTEXTS[version]}"'
    request.setHeader("Link", f'<{CONTEXTS[version]}>;rel="http://www.w3.org/ns/json-ld#context";type="{_JSON_LD}"')
    return "application/json"
