"""A small asset server in memory, which keeps the contract as far as `was-daemon check` looks at it.

Tests break it: see `tests/support/official.py` and `tests/conformance/test_check_faults.py`.
"""

import hashlib
import hmac
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from posixpath import splitext
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs
import exifread
import multipart
import pypdfium2
from PIL import Image, ImageOps

KEY = "the model's key"
_ENDPOINTS = {"read": "fileget", "write": "fileupload", "delete": "filedelete"}
_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".tif": "image/tiff", ".pdf": "application/pdf"}


@attrs.frozen
class Request:
    """A request; `fields` are those of the query and the form, `file` is what is uploaded."""

    method: str
    path: str
    headers: Any
    fields: dict[str, str]
    file: bytes | None = None
    file_field: str | None = None


@attrs.frozen
class Reply:
    """An answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)

    def without(self, header: str) -> "Reply":
        """This answer, but for a header."""
        return attrs.evolve(self, headers={name: value for name, value in self.headers.items() if name != header})

    def having(self, **headers: str) -> "Reply":
        """This answer with more headers; underscores stand for hyphens."""
        return attrs.evolve(
            self, headers=self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        )


class Refused(Exception):
    """An error and its status."""

    def __init__(self, status: int, text: str = "no") -> None:
        super().__init__(text)
        self.reply = Reply(status, text.encode(), {"Content-Type": "text/plain"})


Answering = Callable[[Request], Reply]


class ModelServer:
    """The server. Its methods are what subclasses break; `tamper` stands between it and its clients."""

    def __init__(self, tamper: Callable[[Request, Answering], Reply] | None = None) -> None:
        self.url = ""
        self.originals: dict[str, bytes] = {}
        self.thumbnails: dict[str, bytes] = {}
        self.ahead = 0
        self.window = 150
        self.collections: set[str] | None = None
        self.written: list[str] = []
        self._tamper = tamper or (lambda request, answer: answer(request))
        self._making = threading.Lock()

    @contextmanager
    def running(self) -> Iterator["ModelServer"]:
        """Serve on a free port of 127.0.0.1 meanwhile."""
        with ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)) as httpd:
            self.url = f"http://127.0.0.1:{httpd.server_port}"
            thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                httpd.shutdown()
                thread.join()

    def now(self) -> int:
        """The time by the server's clock."""
        return int(time.time()) + self.ahead

    def answer(self, request: Request) -> Reply:
        """The answer to any request, tampered with."""
        reply = self._tamper(request, self._answer)
        headers = {"X-Timestamp": str(self.now()), "Access-Control-Allow-Origin": "*", "Content-Type": "text/plain"}
        headers = {name: value for name, value in (headers | reply.headers).items() if value}
        return attrs.evolve(reply, headers=headers)

    def _answer(self, request: Request) -> Reply:
        try:
            return self.route(request)
        except Refused as error:
            return error.reply

    def route(self, request: Request) -> Reply:
        """Find who answers."""
        if request.method == "OPTIONS":
            return Reply(204)
        first = request.path.split("/")[1]
        endpoint = getattr(self, first.removesuffix(".xml"), None)
        if endpoint is None:
            raise Refused(404)
        return endpoint(request)  # type: ignore[no-any-return]

    # -- endpoints -----------------------------------------------------------------------------------------------------

    def web_asset_store(self, request: Request) -> Reply:
        paths = {**_ENDPOINTS, "getmetadata": "getmetadata", "testkey": "testkey"}
        urls = "".join(f'<url type="{kind}">{self.url}/{path}</url>' for kind, path in paths.items())
        return Reply(200, f"<urls>{urls}</urls>".encode(), {"Content-Type": "text/xml"})

    def testkey(self, request: Request) -> Reply:
        self.check_token(self.field(request, "random"), request)
        return Reply(200, b"Ok.")

    def fileupload(self, request: Request) -> Reply:
        name = self.check_name(self.field(request, "store"))
        self.check_token(name, request)
        self.check_collection(request)
        if request.fields.get("type") == "T":
            return Reply(200, b"Ignoring thumbnail upload!")
        if request.file is None:
            raise Refused(400)
        self.store(name, request.file)
        return Reply(200, b"Ok.")

    def fileget(self, request: Request) -> Reply:
        name = self.check_name(self.field(request, "filename"))
        self.check_collection(request)
        if request.fields.get("type") == "T":
            return self.send(request, self.thumbnail(name, self.scale(request)), splitext(name)[1], ".png")
        return self.send(request, self.original(name), splitext(name)[1], "")

    def filedelete(self, request: Request) -> Reply:
        name = self.check_name(self.field(request, "filename"))
        self.check_token(name, request)
        self.original(name)
        del self.originals[name]
        self.drop_thumbnails(name)
        return Reply(200, b"Ok.")

    def getmetadata(self, request: Request) -> Reply:
        tags = self.tags(self.original(self.field(request, "filename")))
        date = tags.get("EXIF DateTimeOriginal")
        if request.fields.get("dt") == "date":
            if date is None:
                raise Refused(404)
            return Reply(200, str(date).encode())
        fields = f'[{{"Name": "EXIF", "Fields": {{"DateTimeOriginal": "{date}"}}}}]' if date else "[]"
        return Reply(200, fields.encode(), {"Content-Type": "application/json"})

    def getfileref(self, request: Request) -> Reply:
        name = self.field(request, "filename")
        if request.fields.get("type") != "T":
            self.original(name)
            return Reply(200, f"{self.url}/static/originals/{quote(name)}".encode())
        scale = self.scale(request)
        self.thumbnail(name, scale)
        return Reply(200, f"{self.url}/static/thumbnails/{quote(self.thumbnail_name(name, scale))}".encode())

    def static(self, request: Request) -> Reply:
        kind, name = unquote(request.path).split("/")[2:]
        found = (self.originals if kind == "originals" else self.thumbnails).get(name)
        if found is None:
            raise Refused(404)
        return self.send(request, found, splitext(name)[1], "")

    # -- steps ---------------------------------------------------------------------------------------------------------

    def field(self, request: Request, name: str) -> str:
        if name not in request.fields:
            raise Refused(400, f"{name} is missing")
        return request.fields[name]

    def check_name(self, name: str) -> str:
        if "/" in name:
            raise Refused(400)
        return name

    def check_collection(self, request: Request) -> None:
        if self.collections is not None and request.fields.get("coll") not in self.collections:
            raise Refused(404)

    def check_token(self, name: str, request: Request) -> None:
        match = re.fullmatch(r"([0-9a-f]{32}):([0-9]+)", request.fields.get("token", ""))
        if not match:
            raise Refused(403)
        expected = hmac.new(KEY.encode(), f"{match[2]}{name}".encode(), hashlib.md5).hexdigest()
        if expected != match[1] or (self.window and abs(self.now() - int(match[2])) > self.window):
            raise Refused(403)

    def store(self, name: str, content: bytes) -> None:
        self.originals[name] = content
        self.written.append(name)
        self.drop_thumbnails(name)

    def original(self, name: str) -> bytes:
        if name not in self.originals:
            raise Refused(404)
        return self.originals[name]

    def scale(self, request: Request) -> int:
        scale = self.field(request, "scale")
        if not scale.isdigit():
            raise Refused(400)
        return int(scale)

    def thumbnail_name(self, name: str, scale: int) -> str:
        return f"{splitext(name)[0]}_{scale}.png"

    def drop_thumbnails(self, name: str) -> None:
        mine = re.compile(re.escape(splitext(name)[0]) + r"_\d+\.png")
        self.thumbnails = {each: made for each, made in self.thumbnails.items() if not mine.fullmatch(each)}

    def thumbnail(self, name: str, scale: int) -> bytes:
        original = self.original(name)
        with self._making:
            path = self.thumbnail_name(name, scale)
            if path not in self.thumbnails:
                self.thumbnails[path] = self.make_thumbnail(name, original, scale)
            return self.thumbnails[path]

    def make_thumbnail(self, name: str, original: bytes, scale: int) -> bytes:
        if splitext(name)[1] == ".txt":
            raise Refused(415)
        image = self.turn(self.picture(name, original)).convert("RGB")
        image.thumbnail((scale, scale))
        out = io.BytesIO()
        # A picture from another camera would bring its EXIF data along.
        Image.frombytes("RGB", image.size, image.tobytes()).save(out, "PNG")
        return out.getvalue()

    def picture(self, name: str, original: bytes) -> Image.Image:
        if splitext(name)[1] == ".pdf":
            rendered: Image.Image = pypdfium2.PdfDocument(original)[0].render().to_pil()
            return rendered
        try:
            return Image.open(io.BytesIO(original))
        except OSError:
            raise Refused(422) from None

    def turn(self, image: Image.Image) -> Image.Image:
        return ImageOps.exif_transpose(image)

    def tags(self, original: bytes) -> Any:
        return exifread.process_file(io.BytesIO(original))

    def send(self, request: Request, content: bytes, extension: str, actual: str) -> Reply:
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if request.headers.get("If-None-Match") == etag:
            return Reply(304)
        kind = _TYPES.get((actual or extension).lower(), "application/octet-stream")
        headers = {"Content-Type": kind, "ETag": etag}
        if "downloadname" in request.fields:
            headers["Content-Disposition"] = f"inline; filename*=utf-8''{quote(request.fields['downloadname'])}"
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if span:
            return Reply(206, content[int(span[1]) : int(span[2]) + 1], headers)
        return Reply(200, content, headers)


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            fields = dict(parse_qsl(address.query, keep_blank_values=True))
            file = file_field = None
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind, options = multipart.parse_options_header(self.headers.get("Content-Type", ""))
            if kind == "multipart/form-data":
                for part in multipart.MultipartParser(io.BytesIO(body), options["boundary"], memory_limit=1 << 30):
                    if part.filename is None:
                        fields[part.name] = part.raw.decode(part.charset or "utf-8")
                    else:
                        file, file_field = part.raw, part.name
            elif body:
                fields |= dict(parse_qsl(body.decode(), keep_blank_values=True))
            request = Request(self.command, address.path, self.headers, fields, file, file_field)
            self._send(server.answer(request))

        do_POST = do_OPTIONS = do_HEAD = do_GET

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        def log_message(self, *args: Any) -> None:
            return

    return Handler
