"""Asset servers on Bottle, as the official one and the California Academy's are: their habits, not their code.

Tokens, forms, files and errors go through Bottle as they do there, so that what it makes of odd names, ranges and
broken uploads is what happens at museums.
"""

import hashlib
import hmac
import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import attrs
from bottle import Bottle, FileUpload, HTTPError, HTTPResponse, request, static_file  # type: ignore[import-untyped]
from PIL import Image

KEY = "the old server's key: ü"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        return


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """Clients that leave are none."""


@attrs.define(slots=False, eq=False)
class BottledServer:
    """The official server, with its files below `root`.

    `collections` are its COLLECTION_DIRS, `needs_key` its REQUIRE_KEY_FOR_GET; its clock is `ahead` by so many seconds.
    `requests` are the paths and methods that were asked for, `uploading` is called before a file is saved.
    """

    root: Path
    key: str | None = KEY
    collections: Mapping[str, str] | None = None
    needs_key: bool = False
    window: int = 150
    ahead: int = 0
    uploading: Callable[[], None] = lambda: None
    requests: list[tuple[str, str]] = attrs.field(factory=list)
    url: str = ""

    @contextmanager
    def running(self, port: int = 0) -> Iterator["BottledServer"]:
        """Serve on a port of 127.0.0.1 meanwhile."""
        httpd = _Threading(("127.0.0.1", port), _Quiet)
        httpd.set_app(self.app())
        self.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            httpd.shutdown()
            thread.join()
            httpd.server_close()

    def app(self) -> Bottle:
        app = Bottle()
        app.add_hook("before_request", lambda: self.requests.append((request.method, request.path)))
        routes: list[tuple[str, str, Callable[[], Any]]] = [
            ("/web_asset_store.xml", "GET", lambda: HTTPResponse("<urls></urls>", 200, {"Content-Type": "text/xml"})),
            ("/testkey", "GET", self.testkey),
            ("/fileget", "GET", self.fileget),
            ("/fileupload", "POST", self.fileupload),
            ("/filedelete", "POST", self.filedelete),
        ]
        for path, method, answer in routes:
            app.route(path, method, self._timed(answer))
        return app

    def _timed(self, answer: Callable[[], Any]) -> Callable[[], Any]:
        def timed() -> Any:
            # An answer that is raised does not tell the time, there.
            result = answer()
            result = result if isinstance(result, HTTPResponse) else HTTPResponse(result)
            result.set_header("X-Timestamp", str(self.now()))
            return result

        return timed

    def now(self) -> int:
        """The time by the server's clock."""
        return int(time.time()) + self.ahead

    # -- what is asked for ---------------------------------------------------------------------------------------------

    def testkey(self) -> Any:
        return self.refused(request.query, "random") or "Ok."

    def fileget(self) -> Any:
        if self.needs_key and (refusal := self.refused(request.query, "filename")):
            return refusal
        name = request.query.filename
        path = self.original(request.query.coll, name)
        if request.query["type"] == "T":
            path = self.thumbnail(path, request.query.coll, int(request.query.scale))
        return self.send(path)

    def fileupload(self) -> Any:
        if refusal := self.refused(request.forms, "store"):
            return refusal
        path = self.original(request.forms.coll, request.forms.store)
        if request.forms["type"] == "T":
            return "Ignoring thumbnail upload!"
        (upload,) = request.files.values()
        return self.save(upload, path)

    def filedelete(self) -> Any:
        if refusal := self.refused(request.forms, "filename"):
            return refusal
        path = self.original(request.forms.coll, request.forms.filename)
        if not path.exists():
            raise HTTPError(404)
        path.unlink()
        return "Ok."

    # -- steps ---------------------------------------------------------------------------------------------------------

    def refused(self, fields: Any, name: str) -> HTTPResponse | None:
        """The answer to a request without a valid token, for the name as `get` finds it: not always decoded."""
        if self.key is None:
            return None
        mac, colon, stamp = fields.token.partition(":")
        if not colon:
            return HTTPResponse("", 403)
        wanted = hmac.new(self.key.encode(), stamp.encode() + fields.get(name).encode(), hashlib.md5).hexdigest()
        if mac == wanted and abs(self.now() - int(stamp)) < self.window:
            return None
        return HTTPResponse("", 403)

    def directory(self, coll: str, kind: str) -> Path:
        if self.collections is None:
            return self.root / kind
        if coll not in self.collections:
            raise HTTPError(404, f"Unknown collection: {coll!r}")
        return self.root / self.collections[coll] / kind

    def original(self, coll: str, name: str) -> Path:
        return self.directory(coll, "originals") / name

    def save(self, upload: FileUpload, path: Path) -> Any:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.uploading()
        # In place: whoever reads the old version meanwhile gets both.
        upload.save(str(path), overwrite=True)
        return "Ok."

    def send(self, path: Path) -> Any:
        return static_file(str(path.relative_to(self.root)), root=str(self.root))

    def thumbnail(self, original: Path, coll: str, scale: int) -> Path:
        path = self.directory(coll, "thumbnails") / f"{original.stem}_{scale}{original.suffix}"
        if path.exists():
            return path
        if not original.exists():
            raise HTTPError(404, "Missing original")
        with Image.open(original) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise HTTPError(404)
            image.thumbnail((scale, scale))
            out = io.BytesIO()
            image.save(out, image.format)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(out.getvalue())
        return path


@attrs.define(slots=False, eq=False)
class AcademyServer(BottledServer):
    """The California Academy's server: it replaces nothing, and tells no versions of what it has in S3 (`in_s3`).

    Names in `redacted` are read with a token only.
    """

    in_s3: bool = False
    redacted: set[str] = attrs.field(factory=set)

    def fileget(self) -> Any:
        if request.query.filename in self.redacted and (refusal := self.refused(request.query, "filename")):
            return refusal
        return super().fileget()

    def original(self, coll: str, name: str) -> Path:
        return self.directory(coll, "originals") / name[0:2] / name[2:4] / name

    def save(self, upload: FileUpload, path: Path) -> Any:
        if len(path.name) < 7:
            return HTTPResponse("", 400)
        if path.exists():
            return HTTPResponse("", 409)
        return super().save(upload, path)

    def send(self, path: Path) -> Any:
        if not self.in_s3:
            return super().send(path)
        if not path.exists():
            raise HTTPError(404, "Missing object")
        return HTTPResponse(path.read_bytes(), 200, {"Content-Length": str(path.stat().st_size)})

    def filedelete(self) -> Any:
        if self.in_s3 and not self.original(request.forms.coll, request.forms.filename).exists():
            return self.refused(request.forms, "filename") or "Ok."
        return super().filedelete()
