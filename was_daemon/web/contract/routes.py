"""The routes (contract, section 3)."""

import json
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from twisted.python.failure import Failure

from was_daemon.assets import Assets
from was_daemon.health.overview import OverviewSource, empty_overview
from was_daemon.httpd.request import AssetRequest
from was_daemon.imaging.capture_date import capture_date
from was_daemon.library.redirects import OpenAsset
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.keys import AssetKey, Layout, ThumbnailAddress
from was_daemon.model.media import media_type
from was_daemon.model.origins import Origin
from was_daemon.web.access import AccessRules
from was_daemon.web.addresses import Addresses
from was_daemon.web.answers import text_answer
from was_daemon.web.caching import NO_STORE, CacheRules
from was_daemon.web.contract.authorisation import (
    Fields,
    authorised,
    public,
    static_original,
    static_path,
    token_for_random,
    token_in_upload,
    token_to_delete,
    token_to_read,
    token_to_search,
)
from was_daemon.web.contract.discovery import discovery_document
from was_daemon.web.contract.image_records import ImageRecords
from was_daemon.web.contract.parameters import scale
from was_daemon.web.contract.pending_uploads import PendingUploads, UploadLimits
from was_daemon.web.contract.resource import AssetResource, Router
from was_daemon.web.contract.status_page import CONTENT_POLICY, status_page
from was_daemon.web.contract.uploads import Hide, UploadForm
from was_daemon.web.downloads import retry_when_replaced, send
from was_daemon.web.errors import answer_error
from was_daemon.web.iiif.authorisation import PictureRequest, capability_to_look
from was_daemon.web.iiif.presentation import Presentation
from was_daemon.web.iiif.routes import ImageServer
from was_daemon.web.viewer.routes import Viewer
from was_daemon.web.viewer.subjects import ViewRequest, permission_to_view

_READING = "GET, HEAD, OPTIONS"
"""Methods that change nothing."""


class AssetServer:
    """The asset server's endpoints."""

    app = Router()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        assets: Assets,
        access: AccessRules,
        addresses: Addresses,
        uploads: UploadLimits,
        *,
        caching: CacheRules,
        max_scale: int,
        address_lifetime: float = 0.0,
        hide: Hide | None = None,
        discovery: Mapping[str, str] | None = None,
        overview: OverviewSource = empty_overview,
        images: ImageServer | None = None,
        presentation: Presentation | None = None,
        viewer: Viewer | None = None,
        image_records: ImageRecords | None = None,
    ) -> None:
        self.access = access
        self._assets = assets
        self._addresses = addresses
        self._pending_uploads = PendingUploads(uploads)
        self._caching = caching
        self._max_scale = max_scale
        self._address_lifetime = address_lifetime
        self._hide = hide
        self._discovery = discovery or {}
        self._overview = overview
        self._images = images
        self._presentation = presentation
        self._viewer = viewer
        self._image_records = image_records

    def resource(self) -> AssetResource:
        """Return the resource for a site."""
        app = self.app.__get__(self, type(self))
        return AssetResource(app)

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # Klein's type has no coroutines here, Klein itself has
    async def answer_error(self, request: AssetRequest, failure: Failure) -> bytes:
        """Turn an error into an answer."""
        return await answer_error(request, failure)

    @app.route("/", methods=["GET"])
    @authorised(public)
    async def index(self, request: AssetRequest) -> bytes:
        """Say that the server runs: in a word, or as a page to a browser."""
        request.setHeader("Vary", "Accept")
        if "text/html" not in (request.getHeader("Accept") or ""):
            return text_answer(request, "It works!")
        request.setHeader("Cache-Control", NO_STORE)
        request.setHeader("Content-Security-Policy", CONTENT_POLICY)
        return text_answer(request, status_page(await self._overview()), "text/html; charset=utf-8")

    @app.route("/web_asset_store.xml", methods=["GET"])
    @authorised(public)
    async def discovery(self, request: AssetRequest) -> bytes:
        """Tell clients the addresses of the endpoints."""
        document = discovery_document(self._base_url(request), self._discovery)
        return text_answer(request, document, "text/xml; charset=utf-8")

    @app.route("/testkey", methods=["GET"])
    @authorised(token_for_random)
    async def testkey(self, request: AssetRequest) -> bytes:
        """Tell a client that it has the right key."""
        return text_answer(request, "Ok.")

    @app.route("/fileupload", methods=["POST"])
    @authorised(token_in_upload)
    async def fileupload(self, request: AssetRequest) -> bytes:
        """Store an original; ignore a thumbnail."""
        client = self._addresses.client(request)
        upload = UploadForm(self._assets, self.access, self._pending_uploads, client, request.arrived, self._hide)
        try:
            await upload.receive(request)
            stored = await upload.store()
        finally:
            upload.discard()
        return text_answer(request, "Ok." if stored else "Ignoring thumbnail upload!")

    @app.route("/fileget", methods=["GET"])
    @authorised(token_to_read)
    @retry_when_replaced
    async def fileget(self, request: AssetRequest, key: AssetKey, fields: Fields) -> bytes:
        """Send an original or a thumbnail."""
        size, name = scale(fields, self._max_scale), fields.get("downloadname")
        if size is None and not name:
            name = (await self._assets.caption(key)).name
        recipient = self._addresses.recipient(request, name)
        asset = await self._assets.deliver(key, recipient, size)
        cache_control = self._caching.cache_control(is_private="token" in fields)
        return await send(request, asset, cache_control, recipient.download_name)

    @app.route("/filedelete", methods=["POST"])
    @authorised(token_to_delete)
    async def filedelete(self, request: AssetRequest, key: AssetKey) -> bytes:
        """Delete an original and its thumbnails."""
        await self._assets.delete(key, Origin(address=self._addresses.client(request)))
        return text_answer(request, "Ok.")

    @app.route("/getmetadata", methods=["GET"])
    @authorised(token_to_read)
    async def getmetadata(self, request: AssetRequest, key: AssetKey, fields: Fields) -> bytes:
        """Send the metadata that a camera wrote into an original."""
        metadata = await self._assets.metadata(key, self._addresses.client(request))
        request.setHeader("Cache-Control", self._caching.cache_control(is_private="token" in fields))
        if fields.get("dt") != "date":
            return text_answer(request, json.dumps(metadata), "application/json")
        date = capture_date(metadata)
        if not date:
            raise AssetNotFound("the file does not say when it was made")
        return text_answer(request, date)

    @app.route("/getImageRecord", methods=["GET"])
    @authorised(token_to_search)
    async def get_image_record(self, request: AssetRequest, directory: str | None, fields: Fields) -> bytes:
        """Send what is recorded of files on clients' sides, as the California Academy's server does."""
        if not self._image_records:
            raise AssetNotFound("there is no catalogue")
        base_url = self._base_url(request)
        request.setHeader("Cache-Control", NO_STORE)
        return text_answer(request, await self._image_records.answer(fields, directory, base_url), "application/json")

    @app.route("/getfileref", methods=["GET"])
    @authorised(static_original)
    async def getfileref(self, request: AssetRequest, key: AssetKey, fields: Fields) -> bytes:
        """Tell the address below `/static/` of an original or a thumbnail."""
        size = scale(fields, self._max_scale)
        if size is None:
            reader, path = await self._assets.open(key), Layout.FLAT.path(key)
        else:
            reader, _ = await self._assets.thumbnail(key, size, self._addresses.client(request))
            path = ThumbnailAddress.of(key, size).path
        await reader.close()
        reference = f"static/{quote(path)}" if self.access.is_static(key) else self._signed(request, fields)
        return text_answer(request, f"{self._base_url(request)}/{reference}")

    def _signed(self, request: AssetRequest, fields: Fields) -> str:
        """Return the address by which whoever has it can read what `fields` name for a while, without a token."""
        request.setHeader("Cache-Control", NO_STORE)
        capability = self.access.capability_to_read(fields.get("coll"), fields["filename"], self._address_lifetime)
        named = {name: fields[name] for name in ("coll", "filename", "type", "scale") if name in fields}
        return f"fileget?{urlencode({**named, 'token': str(capability)}, quote_via=quote)}"

    @app.route("/static/<path:path>", methods=["GET"])
    @authorised(static_path)
    @retry_when_replaced
    async def static(self, request: AssetRequest, asset: AssetKey | ThumbnailAddress) -> bytes:
        """Send the file at a path of the flat layout, whatever the layout of the store is."""
        cache_control = self._caching.cache_control()
        if isinstance(asset, ThumbnailAddress):
            opened = await self._assets.existing_thumbnail(asset, self.access.is_static)
            return await send(request, OpenAsset(*opened), cache_control)
        original = OpenAsset(await self._assets.open(asset), media_type(asset.name))
        return await send(request, original, cache_control, (await self._assets.caption(asset)).name)

    @app.route("/iiif/presentation/<path:path>", methods=["GET"])
    @authorised(capability_to_look)
    @retry_when_replaced
    async def presentation(self, request: AssetRequest, asked: PictureRequest) -> bytes:
        """Send the manifest of an asset, or a recording, by the Presentation API."""
        if not self._presentation:
            raise AssetNotFound("no such page")
        return await self._presentation.answer(request, asked)

    @app.route("/iiif/<path:path>", methods=["GET"])
    @authorised(capability_to_look)
    @retry_when_replaced
    async def iiif(self, request: AssetRequest, picture: PictureRequest) -> bytes:
        """Send a picture, a part of it, or its description, by the Image API."""
        if not self._images:
            raise AssetNotFound("no such page")
        return await self._images.answer(request, picture)

    @app.route("/view", methods=["GET"])
    @authorised(permission_to_view)
    async def view(self, request: AssetRequest, asked: ViewRequest) -> bytes:
        """Show pictures to a person with a browser."""
        if not self._viewer:
            raise AssetNotFound("no such page")
        return await self._viewer.page(request, asked)

    @app.route("/view/<path:path>", methods=["GET"])
    @authorised(public)
    async def viewer_file(self, request: AssetRequest) -> bytes:
        """Send a file that the viewer consists of."""
        if not self._viewer:
            raise AssetNotFound("no such page")
        return self._viewer.file(request)

    @app.route("/fileupload", methods=["OPTIONS"])
    @app.route("/fileget", methods=["OPTIONS"])
    @app.route("/getfileref", methods=["OPTIONS"])
    @app.route("/static/<path:path>", methods=["OPTIONS"])
    @authorised(public)
    async def preflight(self, request: AssetRequest) -> bytes:
        """Tell a browser that pages of other origins may use these."""
        return _preflight_answer(request, "GET, HEAD, POST, OPTIONS")

    @app.route("/iiif/<path:path>", methods=["OPTIONS"])
    @app.route("/view", methods=["OPTIONS"])
    @app.route("/view/<path:path>", methods=["OPTIONS"])
    @authorised(public)
    async def options(self, request: AssetRequest) -> bytes:
        """Tell that these can be read, and nothing else."""
        request.setHeader("Allow", _READING)
        return _preflight_answer(request, _READING)

    def _base_url(self, request: AssetRequest) -> str:
        """Return the address to tell the client of `request`, in an answer that no cache is to give to others."""
        if self._addresses.depends_on_requests:
            request.setHeader("Cache-Control", NO_STORE)
            request.setHeader("Vary", "Host, X-Forwarded-Host, X-Forwarded-Proto")
        return self._addresses.base_url(request)


def _preflight_answer(request: AssetRequest, methods: str) -> bytes:
    """Return the answer to a browser that asks whether a page of another origin may use these methods.

    Pages may where `AssetResource` allows their origin.
    """
    request.setResponseCode(204)
    request.setHeader("Access-Control-Allow-Methods", methods)
    request.setHeader("Access-Control-Allow-Headers", request.getHeader("Access-Control-Request-Headers") or "*")
    request.setHeader("Access-Control-Max-Age", "86400")
    return b""
