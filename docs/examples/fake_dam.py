"""A small digital asset management system (DAM) in memory, for `storage_plugins/` to front: `python fake_dam.py PORT`.

Assets have paths and live in libraries, which need not be made. The API key travels as `Authorization: Bearer KEY`.

    GET        /LIBRARY?allows=write              204 when the key allows that, else 403
    GET        /LIBRARY/assets?prefix=P&after=A   a JSON list: the next paths after A that start with P; [] at the end
    GET, HEAD  /LIBRARY/assets/PATH               the bytes; understands Range; tells ETag and Last-Modified
    PUT        /LIBRARY/assets/PATH               201 once the whole body is there, with the new ETag and Last-Modified
    DELETE     /LIBRARY/assets/PATH               204
    GET, HEAD  /LIBRARY/thumbnails/PATH?size=N    a WebP picture that fits N x N; 415 for what shows no picture, 422
    GET        /LIBRARY/iiif/3/PATH/...           the Image API of IIIF: regions in pixels, sizes w,h and max, JPEG
    POST       /LIBRARY/links/PATH?type=T&name=F  {"url": URL}, where anybody gets the asset for the next five minutes
"""

import hmac
import io
import json
import re
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from email.utils import formatdate
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote, urlencode

import attrs
from klein import Klein
from PIL import Image, ImageOps, UnidentifiedImageError
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.server import Request, Site
from werkzeug.exceptions import abort

P = ParamSpec("P")

KEYS = {"sesame": {"read", "write"}, "peephole": {"read"}}
"""What each API key allows."""

_PAGE = 500
_LINK_SECONDS = 300


@attrs.frozen
class Asset:
    """One version of an asset."""

    content: bytes = attrs.field(repr=False)
    version: str = attrs.field(factory=lambda: secrets.token_hex(8))
    modified: float = attrs.field(factory=time.time)


Route = Callable[Concatenate["FakeDAM", Request, P], bytes]


def allowed(permission: str) -> Callable[[Route[P]], Route[P]]:
    """Decorate a route that asks for an API key with this permission."""

    def decorate(route: Route[P]) -> Route[P]:
        @wraps(route)
        def guarded(self: "FakeDAM", request: Request, /, *args: P.args, **kwargs: P.kwargs) -> bytes:
            if not self.is_signed(request):
                _check_key(request, permission)
            return route(self, request, *args, **kwargs)

        return guarded

    return decorate


class FakeDAM:
    """The DAM."""

    app = Klein()

    def __init__(self) -> None:
        self._libraries: dict[str, dict[str, Asset]] = defaultdict(dict)
        self._secret = secrets.token_bytes()

    @app.route("/<library>", methods=["GET"])
    def permissions(self, request: Request, library: str) -> bytes:
        """Tell whether the API key allows something."""
        _check_key(request, _field(request, "allows"))
        request.setResponseCode(204)
        return b""

    @app.route("/<library>/assets", methods=["GET"])
    @allowed("read")
    def search(self, request: Request, library: str) -> bytes:
        """List a page of paths."""
        prefix, after = _field(request, "prefix"), _field(request, "after")
        paths = (path for path in self._libraries[library] if path.startswith(prefix) and path > after)
        return _json(request, sorted(paths)[:_PAGE])

    @app.route("/<library>/assets/<path:path>", methods=["GET"])
    @allowed("read")
    def get(self, request: Request, library: str, path: str) -> bytes:
        """Send an asset, or a range of it."""
        asset = self._find(library, path)
        request.setHeader("Content-Type", _field(request, "type") or "application/octet-stream")
        if _field(request, "name"):
            request.setHeader("Content-Disposition", f"inline; filename*=utf-8''{quote(_field(request, 'name'), '')}")
        return _send(request, asset, asset.content)

    @app.route("/<library>/assets/<path:path>", methods=["PUT"])
    @allowed("write")
    def put(self, request: Request, library: str, path: str) -> bytes:
        """Keep an asset; Twisted calls this when it has all of the body."""
        body: Any = request.content
        asset = self._libraries[library][path] = Asset(body.read())
        request.setResponseCode(201)
        _describe(request, asset)
        return b""

    @app.route("/<library>/assets/<path:path>", methods=["DELETE"])
    @allowed("write")
    def delete(self, request: Request, library: str, path: str) -> bytes:
        """Forget an asset."""
        self._find(library, path)
        del self._libraries[library][path]
        request.setResponseCode(204)
        return b""

    @app.route("/<library>/thumbnails/<path:path>", methods=["GET"])
    @allowed("read")
    def thumbnail(self, request: Request, library: str, path: str) -> bytes:
        """Send a small picture of an asset."""
        asset = self._find(library, path)
        size = int(_field(request, "size"))
        request.setHeader("Content-Type", "image/webp")
        return _send(request, attrs.evolve(asset, version=f"{asset.version}-{size}"), _thumbnail(asset.content, size))

    @app.route("/<library>/iiif/3/<path:path>/info.json", methods=["GET"])
    @allowed("read")
    def picture_information(self, request: Request, library: str, path: str) -> bytes:
        """Describe a picture for viewers."""
        with _opened(self._find(library, path).content) as image:
            described = {"type": "ImageService3", "profile": "level0", "width": image.width, "height": image.height}
        url = f"http://{request.getHeader('Host')}{request.path.decode().removesuffix('/info.json')}"
        return _json(request, {"@context": "http://iiif.io/api/image/3/context.json", "id": url, **described})

    @app.route("/<library>/iiif/3/<path:path>/<region>/<size>/0/default.jpg", methods=["GET"])
    @allowed("read")
    def picture(self, request: Request, library: str, path: str, region: str, size: str) -> bytes:
        """Send a part of a picture."""
        asset = self._find(library, path)
        request.setHeader("Content-Type", "image/jpeg")
        content = _part(asset.content, region, size)
        return _send(request, attrs.evolve(asset, version=f"{asset.version}-{region}-{size}"), content)

    @app.route("/<library>/links/<path:path>", methods=["POST"])
    @allowed("read")
    def link(self, request: Request, library: str, path: str) -> bytes:
        """Sign an address of an asset."""
        self._find(library, path)
        fields = {name: _field(request, name) for name in ("type", "name")}
        query = urlencode({**fields, "expires": int(time.time()) + _LINK_SECONDS})
        target = f"/{quote(library, '')}/assets/{quote(path)}?{query}"
        url = f"http://{request.getHeader('Host')}{target}&signature={self._sign(target)}"
        return _json(request, {"url": url})

    def is_signed(self, request: Request) -> bool:
        """Whether the request is for an address that the DAM has signed, and that is still good."""
        target, _, signature = request.uri.decode("ascii", "replace").rpartition("&signature=")
        is_ours = hmac.compare_digest(self._sign(target).encode(), signature.encode())
        return is_ours and request.method in (b"GET", b"HEAD") and int(_field(request, "expires")) > time.time()

    def _sign(self, target: str) -> str:
        return hmac.new(self._secret, target.encode(), "sha256").hexdigest()

    def _find(self, library: str, path: str) -> Asset:
        return self._libraries[library].get(path) or abort(404)


def _check_key(request: Request, permission: str) -> None:
    permissions = KEYS.get((request.getHeader("Authorization") or "").removeprefix("Bearer "))
    if permissions is None:
        abort(401)
    if permission not in permissions:
        abort(403)


def _field(request: Request, name: str) -> str:
    values: list[bytes] = request.args.get(name.encode(), [b""])
    return values[0].decode()


def _json(request: Request, document: Any) -> bytes:
    request.setHeader("Content-Type", "application/json")
    return json.dumps(document).encode()


def _describe(request: Request, asset: Asset) -> None:
    request.setHeader("ETag", f'"{asset.version}"')
    request.setHeader("Last-Modified", formatdate(asset.modified, usegmt=True))


def _send(request: Request, asset: Asset, content: bytes) -> bytes:
    _describe(request, asset)
    request.setHeader("Accept-Ranges", "bytes")
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.getHeader("Range") or "")
    if span:
        start, stop = int(span[1]), min(int(span[2] or len(content)) + 1, len(content))
        if start >= stop:
            abort(416)
        request.setResponseCode(206)
        request.setHeader("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        content = content[start:stop]
    request.setHeader("Content-Length", str(len(content)))
    return content


def _opened(content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        abort(415)
    except OSError:
        abort(422)


def _part(content: bytes, region: str, size: str) -> bytes:
    image = _opened(content)
    try:
        if region != "full":
            x, y, width, height = map(int, region.split(","))
            image = image.crop((x, y, min(x + width, image.width), min(y + height, image.height)))
        if size != "max":
            width, height = map(int, size.split(","))
            image = image.resize((width, height))
    except ValueError:
        abort(400)
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def _thumbnail(content: bytes, size: int) -> bytes:
    picture = _opened(content)
    picture.thumbnail((size, size))
    out = io.BytesIO()
    picture.save(out, "WEBP")
    return out.getvalue()


def main() -> None:
    """Serve on the port of 127.0.0.1 that the command line names."""
    TCP4ServerEndpoint(reactor, int(sys.argv[1]), interface="127.0.0.1").listen(Site(FakeDAM().app.resource()))
    reactor.run()


if __name__ == "__main__":
    main()
