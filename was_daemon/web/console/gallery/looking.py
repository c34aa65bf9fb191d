"""Originals, thumbnails, tiles and the zoom viewer for who is logged in to the console, without tokens.

The addresses are those of the public endpoints, below `/console/gallery/look/`: the viewer's page asks for what is
beside it, wherever that is. Nothing can be changed here.
"""

import json
from typing import Any
from urllib.parse import unquote_to_bytes

from klein.resource import KleinResource
from twisted.python.failure import Failure

from was_daemon.assets import Assets
from was_daemon.httpd.request import AssetRequest
from was_daemon.library.redirects import AssetUrl, OpenAsset, Recipient
from was_daemon.model.errors import AssetError, BrokenImage, NoThumbnail, VersionGone
from was_daemon.model.keys import AssetKey
from was_daemon.model.media import runs_scripts
from was_daemon.web.access import AccessRules
from was_daemon.web.answers import text_answer
from was_daemon.web.caching import CacheRules
from was_daemon.web.console.gallery.drawing import drawing
from was_daemon.web.contract.authorisation import Fields, authorised, public, token_to_read
from was_daemon.web.contract.parameters import scale
from was_daemon.web.contract.resource import Router
from was_daemon.web.downloads import retry_when_replaced, send
from was_daemon.web.errors import answer_error, status_of
from was_daemon.web.iiif.authorisation import PictureRequest, capability_to_look
from was_daemon.web.iiif.routes import ImageServer
from was_daemon.web.viewer.routes import Viewer
from was_daemon.web.viewer.subjects import ViewRequest, permission_to_view

_WORDS = "no preview"

CLIENT = "console"
"""The name by which the console takes turns with clients when thumbnails and metadata are made."""

PATH = b"/console/gallery/look"

FOR_SESSION = CacheRules(max_age=0, stale_while_revalidate=0, token_window=0, is_private=True)
"""Caching of what a session lets see: a browser asks each time, so that nothing is shown after the logout."""


class LookingServer:
    """The endpoints that only read; `access` and the rules of the other parts ask for no token."""

    app = Router()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        assets: Assets,
        access: AccessRules,
        images: ImageServer,
        viewer: Viewer,
        max_scale: int,
    ) -> None:
        self.access = access
        self._assets = assets
        self._images = images
        self._viewer = viewer
        self._max_scale = max_scale

    def resource_for(self, request: Any) -> KleinResource:
        """Return the resource for a request below `PATH`, whose own path then begins behind that."""
        request.path = request.path.removeprefix(PATH)
        request.postpath = list(map(unquote_to_bytes, request.path[1:].split(b"/")))
        # Not `AssetResource`: pages of other origins may read nothing here.
        return self.app.__get__(self, type(self)).resource()

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # Klein's type has no coroutines here, Klein itself has
    async def answer_error(self, request: AssetRequest, failure: Failure) -> bytes:
        """Turn an error into an answer."""
        return await answer_error(request, failure)

    @app.route("/fileget", methods=["GET"])
    @authorised(token_to_read)
    @retry_when_replaced
    async def fileget(self, request: AssetRequest, key: AssetKey, fields: Fields) -> bytes:
        """Send an original or a thumbnail, always from here."""
        recipient = Recipient(CLIENT, download_name=fields.get("downloadname"))
        asset = await self._assets.deliver(key, recipient, scale(fields, self._max_scale))
        assert not isinstance(asset, AssetUrl)  # noqa: S101 - this recipient is redirected nowhere
        if not runs_scripts(asset.media_type):
            # That of pages keeps some browsers from showing a PDF.
            request.responseHeaders.removeHeader(b"Content-Security-Policy")
        return await send(request, asset, FOR_SESSION.cache_control(), recipient.download_name)

    @app.route("/thumbnail", methods=["GET"])
    @authorised(token_to_read)
    @retry_when_replaced
    async def thumbnail(self, request: AssetRequest, key: AssetKey, fields: Fields) -> bytes:
        """Send a thumbnail, or a drawing in its place."""
        size = scale({**fields, "type": "T"}, self._max_scale) or 0
        try:
            reader, kind = await self._assets.thumbnail(key, size, CLIENT)
        except VersionGone:
            raise
        except AssetError as error:
            return _drawn(request, key.name, error)
        return await send(request, OpenAsset(reader, kind), FOR_SESSION.cache_control())

    @app.route("/getmetadata", methods=["GET"])
    @authorised(token_to_read)
    async def getmetadata(self, request: AssetRequest, key: AssetKey, _fields: Fields) -> bytes:
        """Send the metadata in an original, as JSON."""
        return text_answer(request, json.dumps(await self._assets.metadata(key, CLIENT)), "application/json")

    @app.route("/iiif/<path:path>", methods=["GET"])
    @authorised(capability_to_look)
    @retry_when_replaced
    async def iiif(self, request: AssetRequest, picture: PictureRequest) -> bytes:
        """Send a picture, a part of it, or its description."""
        return await self._images.answer(request, picture)

    @app.route("/view", methods=["GET"])
    @authorised(permission_to_view)
    async def view(self, request: AssetRequest, asked: ViewRequest) -> bytes:
        """Send the page of the zoom viewer."""
        return await self._viewer.page(request, asked)

    @app.route("/view/<path:path>", methods=["GET"])
    @authorised(public)
    async def viewer_file(self, request: AssetRequest) -> bytes:
        """Send a file that the viewer consists of."""
        return self._viewer.file(request)


def _drawn(request: AssetRequest, name: str, error: AssetError) -> bytes:
    is_without = isinstance(error, NoThumbnail | BrokenImage)
    request.setResponseCode(200 if is_without else status_of(error))
    return text_answer(request, drawing(name, _WORDS if is_without else str(error)), "image/svg+xml")
