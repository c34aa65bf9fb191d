"""The routes (contract, section 3)."""

import json
from typing import Any, cast
from urllib.parse import quote, unquote_to_bytes
from xml.sax.saxutils import escape

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest

from was_daemon.assets import Assets
from was_daemon.health.overview import Look, nothing_known
from was_daemon.httpd.protocol import AssetRequest
from was_daemon.imaging.capture_date import capture_date
from was_daemon.library.redirects import OpenAsset
from was_daemon.model.errors import AssetNotFound, BadName, BadRequest
from was_daemon.model.keys import AssetKey, Kind, Layout, ThumbnailAddress, check_name
from was_daemon.model.media import media_type
from was_daemon.web.access import Access
from was_daemon.web.answers import text_answer
from was_daemon.web.contract.admission import Admission, UploadLimits
from was_daemon.web.contract.status import CONTENT_POLICY, status_page
from was_daemon.web.contract.uploads import Upload, parse_fields, read_form
from was_daemon.web.downloads import anew_when_replaced, send
from was_daemon.web.errors import answer_error, without_client
from was_daemon.web.requests import Requests

_CROSS_ORIGIN = (b"/fileupload", b"/fileget", b"/getfileref")
"""What pages of other origins use, Specify 7 first of all; `/static/` besides."""

_ENDPOINTS = {
    "read": "fileget",
    "write": "fileupload",
    "delete": "filedelete",
    "getmetadata": "getmetadata",
    "testkey": "testkey",
}


class AssetResource(KleinResource):
    """The root of the site."""

    def __init__(self, app: Klein) -> None:
        super().__init__(app)
        self.requests = Requests()

    def render(self, request: IRequest) -> Any:
        """Find the route and call it."""
        self.requests.begin(request)
        joined = b"/".join(request.postpath)
        path = b"/" + joined.lstrip(b"/")
        if path in _CROSS_ORIGIN or path.startswith(b"/static/"):
            # Also when no route matches: a browser does not show an error without it.
            request.setHeader("Access-Control-Allow-Origin", "*")
        try:
            joined.decode()
        except UnicodeDecodeError:
            # Klein has an answer of its own to these. Left encoded, they reach a route of ours, or none.
            request.postpath = request.path[1:].split(b"/")
        return super().render(request)


class Routes(Klein):
    """Routes whose clients may leave before the answer: Klein takes what fails then for an error of the server."""

    def execute_endpoint(self, endpoint: str, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a route."""
        answer = cast("Deferred[bytes]", super().execute_endpoint(endpoint, request, *args, **kwargs))
        return answer.addErrback(without_client, request)


class AssetServer:
    """The asset server's endpoints."""

    app = Routes()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        assets: Assets,
        access: Access,
        uploads: UploadLimits,
        *,
        max_scale: int,
        static_access: bool = True,
        look: Look = nothing_known,
    ) -> None:
        self._assets = assets
        self._access = access
        self._admission = Admission(uploads)
        self._max_scale = max_scale
        self._static_access = static_access
        self._look = look

    def resource(self) -> AssetResource:
        """The resource for a site."""
        app = self.app.__get__(self, type(self))
        return AssetResource(app)

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # Klein's type has no coroutines here, Klein itself has
    async def answer_error(self, request: AssetRequest, failure: Failure) -> bytes:
        """Every error becomes an answer."""
        return await answer_error(request, failure)

    @app.route("/", methods=["GET"])
    async def index(self, request: AssetRequest) -> bytes:
        """Say that the server runs: in a word, or as a page to whoever has a browser."""
        request.setHeader("Vary", "Accept")
        if "text/html" in (request.getHeader("Accept") or ""):
            request.setHeader("Cache-Control", "no-store")
            request.setHeader("Content-Security-Policy", CONTENT_POLICY)
            return text_answer(request, status_page(await self._look()), "text/html; charset=utf-8")
        return text_answer(request, "It works!")

    @app.route("/web_asset_store.xml", methods=["GET"])
    async def discovery(self, request: AssetRequest) -> bytes:
        """Tell clients the addresses of the endpoints."""
        base = self._base_url(request)
        urls = [f'<url type="{kind}">{escape(f"{base}/{path}")}</url>\n' for kind, path in _ENDPOINTS.items()]
        document = f'<?xml version="1.0" encoding="UTF-8"?>\n<urls>\n{"".join(urls)}</urls>\n'
        return text_answer(request, document, "text/xml; charset=utf-8")

    @app.route("/testkey", methods=["GET"])
    async def testkey(self, request: AssetRequest) -> bytes:
        """Tell a client whether it has the right key."""
        fields = _query(request)
        if "random" not in fields:
            raise BadRequest("the field random is missing")
        # Specify 7 asks at its start, of no collection.
        self._access.require_some_token(fields["random"], fields.get("token"))
        return text_answer(request, "Ok.")

    @app.route("/fileupload", methods=["POST"])
    async def fileupload(self, request: AssetRequest) -> bytes:
        """Store an original; ignore a thumbnail."""
        upload = Upload(self._assets, self._access, self._admission)
        try:
            await upload.receive(request)
            stored = await upload.store()
        finally:
            upload.discard()
        return text_answer(request, "Ok." if stored else "Ignoring thumbnail upload!")

    @app.route("/fileget", methods=["GET"])
    @anew_when_replaced
    async def fileget(self, request: AssetRequest) -> bytes:
        """Send an original or a thumbnail."""
        fields = _query(request)
        key = self._key_to_read(fields)
        scale = self._scale(fields) if fields.get("type") == "T" else None
        recipient = self._access.recipient(request, fields.get("downloadname"))
        return await send(request, await self._assets.deliver(key, recipient, scale), recipient.download_name)

    @app.route("/filedelete", methods=["POST"])
    async def filedelete(self, request: AssetRequest) -> bytes:
        """Delete an original and its thumbnails."""
        fields = await read_form(request)
        name = _name(fields)
        self._access.require_token(fields.get("coll"), name, fields.get("token"))
        await self._assets.delete(self._access.original(fields.get("coll"), name))
        return text_answer(request, "Ok.")

    @app.route("/getmetadata", methods=["GET"])
    async def getmetadata(self, request: AssetRequest) -> bytes:
        """Send what the camera wrote into an original."""
        fields = _query(request)
        key = self._key_to_read(fields)
        metadata = await self._assets.metadata(key, self._access.client(request))
        if fields.get("dt") != "date":
            return text_answer(request, json.dumps(metadata), "application/json")
        date = capture_date(metadata)
        if not date:
            raise AssetNotFound("the file does not say when it was made")
        return text_answer(request, date)

    @app.route("/getfileref", methods=["GET"])
    async def getfileref(self, request: AssetRequest) -> bytes:
        """Tell the address below `/static/` of an original or a thumbnail."""
        self._check_static()
        fields = _query(request)
        key = self._access.original(fields.get("coll"), _name(fields))
        if fields.get("type") == "T":
            scale = self._scale(fields)
            reader, _ = await self._assets.thumbnail(key, scale, self._access.client(request))
            path = ThumbnailAddress.of(key, scale).path
        else:
            reader = await self._assets.open(key)
            path = Layout.FLAT.path(key)
        await reader.close()
        return text_answer(request, f"{self._base_url(request)}/static/{quote(path)}")

    @app.route("/static/<path:path>", methods=["GET"])
    @anew_when_replaced
    async def static(self, request: AssetRequest, path: str) -> bytes:
        """Send what lies at a path of the flat layout, whatever the layout of the store is."""
        self._check_static()
        key = _static_asset(_static_path(request.path))
        if isinstance(key, ThumbnailAddress):
            return await send(request, OpenAsset(*await self._assets.existing_thumbnail(key)))
        return await send(request, OpenAsset(await self._assets.open(key), media_type(key.name)))

    @app.route("/fileupload", methods=["OPTIONS"])
    @app.route("/fileget", methods=["OPTIONS"])
    @app.route("/getfileref", methods=["OPTIONS"])
    @app.route("/static/<path:path>", methods=["OPTIONS"])
    async def preflight(self, request: AssetRequest, path: str = "") -> bytes:
        """Tell a browser that pages of other origins may use these."""
        request.setResponseCode(204)
        request.setHeader("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS")
        request.setHeader("Access-Control-Allow-Headers", request.getHeader("Access-Control-Request-Headers") or "*")
        request.setHeader("Access-Control-Max-Age", "86400")
        return b""

    def _base_url(self, request: AssetRequest) -> str:
        """The address to tell the client of `request`, in an answer that no cache is to give to others."""
        if self._access.is_told_by_requests:
            request.setHeader("Cache-Control", "no-store")
            request.setHeader("Vary", "Host, X-Forwarded-Host, X-Forwarded-Proto")
        return self._access.base_url(request)

    def _key_to_read(self, fields: dict[str, str]) -> AssetKey:
        name = _name(fields)
        self._access.require_token_to_read(fields.get("coll"), name, fields.get("token"))
        return self._access.original(fields.get("coll"), name)

    def _scale(self, fields: dict[str, str]) -> int:
        scale = fields.get("scale", "")
        if not (scale.isascii() and scale.isdigit() and len(scale) < 10 and 1 <= int(scale) <= self._max_scale):
            raise BadRequest(f"scale is not a number from 1 to {self._max_scale}")
        return int(scale)

    def _check_static(self) -> None:
        if not self._static_access:
            raise AssetNotFound("static access is off")


def _query(request: AssetRequest) -> dict[str, str]:
    return parse_fields(request.uri.partition(b"?")[2])


def _name(fields: dict[str, str]) -> str:
    if "filename" not in fields:
        raise BadRequest("the field filename is missing")
    return check_name(fields["filename"])


def _static_asset(path: str) -> AssetKey | ThumbnailAddress:
    """Return the original or the thumbnail that has a path of the flat layout; raises `AssetNotFound`, `BadName`."""
    kind = path.rpartition("/")[0].rpartition("/")[2]
    return ThumbnailAddress.parse(path) if kind == Kind.THUMBNAIL.value else Layout.FLAT.parse(path)


def _static_path(path: bytes) -> str:
    """Return what follows `/static/`, decoded."""
    segments = [unquote_to_bytes(segment) for segment in path.lstrip(b"/").split(b"/")[1:]]
    if any(b"/" in segment for segment in segments):
        raise BadName("the name contains a path separator")
    try:
        return b"/".join(segments).decode()
    except UnicodeDecodeError:
        raise BadName("the name is not valid UTF-8") from None
