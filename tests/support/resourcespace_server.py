"""The web server of a pretended ResourceSpace: forms as PHP reads them, and files as its download page sends them."""

import hashlib
import io
import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs

if TYPE_CHECKING:
    from tests.support.resourcespace import FakeResourceSpace

_CHUNK = 1 << 16


def serve(dam: "FakeResourceSpace", port: int) -> "Server":
    """Serve a ResourceSpace in a thread."""
    server = Server(("127.0.0.1", port), type("Handler", (_Handler,), {"dam": dam}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break off are no matter."""


@attrs.frozen
class _Form:
    """A form that was sent: its text fields, and its file, if it has one."""

    fields: dict[str, str]
    name: str = ""
    size: int = 0


class _Handler(BaseHTTPRequestHandler):
    dam: "FakeResourceSpace"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def handle_expect_100(self) -> bool:
        """Ask for the body at once."""
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()
        return True

    def log_message(self, *_arguments: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.dam.directory / f"body-{secrets.token_hex(8)}"
        try:
            form = self._form(body)
            if path != "/api/":
                self._answer(404, b"Not Found")
            elif not query:
                # PHP warns of what is not there, and the warning is in the answer.
                self._answer(200, b"Warning: Undefined array key QUERY_STRING")
            else:
                self._call(form, body)
        finally:
            body.unlink(missing_ok=True)

    def _call(self, form: _Form, body: Path) -> None:
        if form.size > self.dam.most_of_form:
            form = _Form({})
        query = form.fields.get("query", "")
        user = form.fields.get("user", "")
        signature = hashlib.sha256(f"{self.dam.keys.get(user)}{query}".encode()).hexdigest()
        if form.fields.get("sign") != signature:
            return self._answer(401, b"Invalid signature")
        arguments = dict(parse_qsl(query, keep_blank_values=True))
        if arguments.get("function") == "upload_multipart":
            if not form.name:
                return self._json(400, {"status": "fail", "data": {"message": "no file"}})
            return self._json(*self.dam.take(arguments, form.name, body, form.size))
        return self._json(200, self.dam.call(user, arguments))

    def _form(self, body: Path) -> _Form:
        with body.open("w+b") as file:
            for chunk in self._chunks():
                file.write(chunk)
            kind = self.headers["Content-Type"]
            if not kind.startswith("multipart/form-data"):
                file.seek(0)
                return _Form(dict(parse_qsl(file.read().decode(), keep_blank_values=True)))
            return _parsed(file, kind.partition("boundary=")[2].encode())

    def _chunks(self) -> Iterator[bytes]:
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline().strip() or b"0", 16):
                yield self._exactly(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers["Content-Length"])
        while left:
            chunk = self._exactly(min(left, _CHUNK))
            left -= len(chunk)
            yield chunk

    def _exactly(self, size: int) -> bytes:
        chunk = self.rfile.read(size)
        if len(chunk) < size:
            self.close_connection = True
            raise ConnectionError("the form broke off")
        return chunk

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        is_page = parts.path == "/pages/download.php"
        found = self.dam.file_at(parts.path, query)
        if found is None:
            self._answer(200 if is_page else 403, b"<html>Log in</html>", "text/html")
        elif isinstance(found[1], Path) and not found[1].exists():
            self._answer(404, b"")
        else:
            self._send(*found, is_page)

    def _send(self, ref: int, file: bytes | Path, is_page: bool) -> None:
        size = file.stat().st_size if isinstance(file, Path) else len(file)
        headers = {"Content-Disposition": 'inline; filename="download"'} if is_page else {"ETag": f'"{ref}-{size:x}"'}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        start, stop = (int(span[1]), min(int(span[2] or size), size - 1) + 1) if span else (0, size)
        if span and (start or stop < size):
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        else:
            self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(stop - start))
        if is_page:
            # The page sends what follows the range, too.
            self.send_header("Connection", "close")
            stop = size
        self.end_headers()
        with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as source:
            source.seek(start)
            left = stop - start
            while left:
                chunk = source.read(min(left, _CHUNK))
                self.wfile.write(chunk)
                left -= len(chunk)

    def _json(self, code: int, result: Any) -> None:
        if code == 500 and result is None:
            return self._answer(code, b"<html>Error: write failed</html>", "text/html")
        return self._answer(code, json.dumps(result).encode(), "application/json")

    def _answer(self, code: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if code != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if code != 204:
            self.wfile.write(body)


def _parsed(file: Any, boundary: bytes) -> _Form:
    """Read a form whose last part is the file; what is left in `file` is that part's content."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(1 << 16)
    fields, position = {}, 0
    while True:
        start = head.index(b"\r\n\r\n", position) + 4
        name = re.search(rb'name="([^"]*)"(?:; filename="([^"]*)")?', head[position:start])
        assert name
        if name[2] is not None:
            return _Form(fields, _base_name(name[2].decode()), _cut(file, start, size - len(boundary) - 8))
        stop = head.index(b"\r\n--" + boundary, start)
        fields[name[1].decode()] = head[start:stop].decode()
        position = stop + 2


def _base_name(name: str) -> str:
    """What PHP keeps of the name of an uploaded file."""
    return re.split(r"[/\\]", name)[-1]


def _cut(file: Any, start: int, stop: int) -> int:
    """Move the bytes [start, stop) of a file to its beginning, and cut the rest off; return their number."""
    for position in range(start, stop, _CHUNK):
        file.seek(position)
        chunk = file.read(min(_CHUNK, stop - position))
        file.seek(position - start)
        file.write(chunk)
    file.truncate(stop - start)
    return stop - start
