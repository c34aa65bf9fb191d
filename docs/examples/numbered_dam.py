"""A small digital asset management system (DAM) in memory whose assets have numbers: `python numbered_dam.py PORT`.

Names need not be unique; a search finds the numbers. The API key travels as `X-Api-Key: KEY`. All answers but that with
a file are JSON, and have status 200 also for an error: {"status": "error", "code": CODE, "message": TEXT}.

    GET     /api/search?words=W&cursor=C    {"found": [ASSET, ...], "more": C}: those whose names have all the words
    GET     /api/assets?folder=F&cursor=C   the same for all assets of a folder; "more" is null on the last page
    GET     /api/assets/ID                  ASSET: {"id": 7, "filename": ..., "folder": ..., "bytes": ..., "md5": ...,
                                            "uploaded": "2026-11-30 12:00:00.000001"}; code "unknown_asset"
    GET     /api/assets/ID/file             the bytes, or status 404; knows neither Range nor ETag
    DELETE  /api/assets/ID                  {"status": "ok"}
    POST    /api/uploads                    {"upload": U, "put_to": URL} for {"filename": ..., "folder": ...}
    PUT     /api/uploads/U/file             the bytes
    POST    /api/uploads/U/commit           {"status": "ok", "asset": ASSET}
    DELETE  /api/uploads/U                  forgets an upload

What has changed is found by searches and in folders after `python numbered_dam.py PORT SECONDS`.
"""

import hashlib
import json
import re
import sys
import time
from datetime import UTC, datetime
from itertools import count
from typing import Any

import attrs
from klein import Klein
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.server import Request, Site

KEY = "sesame"
_PAGE = 50
_FIRST_ID = 4711


class DAMError(Exception):
    """An error of the DAM: a code, and a message."""


@attrs.define
class Asset:
    """One asset; `shown` is when searches find it, `hidden` when they do no more."""

    id: int
    filename: str
    folder: str
    content: bytes = attrs.field(repr=False)
    shown: float
    hidden: float = float("inf")
    words: set[str] = attrs.field(init=False)
    uploaded: str = attrs.field(factory=lambda: f"{datetime.now(UTC).replace(tzinfo=None)}")

    def __attrs_post_init__(self) -> None:
        self.words = _words(self.filename)

    def described(self) -> dict[str, Any]:
        """Return the asset as answers have it."""
        md5 = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        known = attrs.asdict(self, filter=attrs.filters.include("id", "filename", "folder", "uploaded"))
        return {**known, "bytes": len(self.content), "md5": md5}


class NumberedDAM:
    """The DAM."""

    app = Klein()

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay
        self._assets: dict[int, Asset] = {}
        self._gone: list[Asset] = []
        self._uploads: dict[int, dict[str, Any]] = {}
        self._ids = count(_FIRST_ID)

    @app.handle_errors(DAMError)  # type: ignore[arg-type]  # Klein's type knows the interface of requests only
    def failed(self, request: Request, failure: Any) -> bytes:
        """Tell of an error."""
        code, message = failure.value.args
        return _json(request, {"status": "error", "code": code, "message": message})

    @app.route("/api/search", methods=["GET"])
    def search(self, request: Request) -> bytes:
        """Find assets by words of their names."""
        words = _words(_field(request, "words"))
        return self._page(request, [each for each in self._indexed() if words <= each.words])

    @app.route("/api/assets", methods=["GET"])
    def folder(self, request: Request) -> bytes:
        """List a folder."""
        folder = _field(request, "folder")
        return self._page(request, [each for each in self._indexed() if each.folder == folder])

    @app.route("/api/assets/<int:number>", methods=["GET"])
    def describe(self, request: Request, number: int) -> bytes:
        """Tell what is known of an asset."""
        return _json(request, self._find(request, number).described())

    @app.route("/api/assets/<int:number>/file", methods=["GET"])
    def file(self, request: Request, number: int) -> bytes:
        """Send the bytes of an asset."""
        try:
            content = self._find(request, number).content
        except DAMError:
            request.setResponseCode(404)
            return b"no such asset"
        request.setHeader("Content-Length", str(len(content)))
        return content

    @app.route("/api/assets/<int:number>", methods=["DELETE"])
    def delete(self, request: Request, number: int) -> bytes:
        """Forget an asset."""
        asset = self._find(request, number)
        asset.hidden = time.monotonic() + self._delay
        self._gone.append(self._assets.pop(asset.id))
        return _json(request, {"status": "ok"})

    @app.route("/api/uploads", methods=["POST"])
    def begin(self, request: Request) -> bytes:
        """Begin an upload."""
        _check_key(request)
        number = next(self._ids)
        self._uploads[number] = {**json.loads(_body(request)), "content": None}
        return _json(request, {"upload": number, "put_to": f"/api/uploads/{number}/file"})

    @app.route("/api/uploads/<int:number>/file", methods=["PUT"])
    def put(self, request: Request, number: int) -> bytes:
        """Keep the bytes of an upload; Twisted calls this when it has all of the body."""
        self._upload(request, number)["content"] = _body(request)
        return _json(request, {"status": "ok"})

    @app.route("/api/uploads/<int:number>/commit", methods=["POST"])
    def commit(self, request: Request, number: int) -> bytes:
        """Make an upload an asset."""
        upload = self._upload(request, number)
        if upload["content"] is None:
            raise DAMError("no_file", "The upload has no file yet.")
        del self._uploads[number]
        asset = Asset(next(self._ids), **upload, shown=time.monotonic() + self._delay)
        self._assets[asset.id] = asset
        return _json(request, {"status": "ok", "asset": asset.described()})

    @app.route("/api/uploads/<int:number>", methods=["DELETE"])
    def abort(self, request: Request, number: int) -> bytes:
        """Forget an upload."""
        self._upload(request, number)
        del self._uploads[number]
        return _json(request, {"status": "ok"})

    def _indexed(self) -> list[Asset]:
        """Return what searches find now."""
        now = time.monotonic()
        self._gone = [each for each in self._gone if each.hidden > now]
        return [each for each in (*self._gone, *self._assets.values()) if each.shown <= now]

    def _page(self, request: Request, assets: list[Asset]) -> bytes:
        _check_key(request)
        start = int(_field(request, "cursor") or 0)
        page = sorted(assets, key=lambda each: each.id)
        page = [each for each in page if each.id > start]
        more = str(page[_PAGE - 1].id) if len(page) > _PAGE else None
        return _json(request, {"found": [each.described() for each in page[:_PAGE]], "more": more})

    def _find(self, request: Request, number: int) -> Asset:
        _check_key(request)
        if number not in self._assets:
            raise DAMError("unknown_asset", f"There is no asset {number}.")
        return self._assets[number]

    def _upload(self, request: Request, number: int) -> dict[str, Any]:
        _check_key(request)
        if number not in self._uploads:
            raise DAMError("unknown_upload", f"There is no upload {number}.")
        return self._uploads[number]


def _check_key(request: Request) -> None:
    if request.getHeader("X-Api-Key") != KEY:
        raise DAMError("wrong_key", "The API key is wrong.")


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _field(request: Request, name: str) -> str:
    values: list[bytes] = request.args.get(name.encode(), [b""])
    return values[0].decode()


def _body(request: Request) -> bytes:
    body: Any = request.content
    content: bytes = body.read()
    return content


def _json(request: Request, document: Any) -> bytes:
    request.setHeader("Content-Type", "application/json")
    return json.dumps(document).encode()


def main() -> None:
    """Serve on the port of 127.0.0.1 that the command line names."""
    dam = NumberedDAM(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
    TCP4ServerEndpoint(reactor, int(sys.argv[1]), interface="127.0.0.1").listen(Site(dam.app.resource()))
    reactor.run()


if __name__ == "__main__":
    main()
