"""Clients of the daemon: what Specify 6, Specify 7, browsers and clients with bad manners send."""

import hashlib
import hmac
import io
import json
import select
import socket
import struct
import time
from email.message import Message
from http.client import parse_headers
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import attrs
from PIL import Image
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.web.client import Agent, HTTPConnectionPool

TIMEOUT = 60
_CRLF = b"\r\n"


@attrs.frozen
class Answer:
    """A response."""

    status: int
    headers: Message = attrs.field(repr=lambda headers: str(headers.items()))
    body: bytes = attrs.field(repr=lambda body: repr(body[:200]))

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def image(self) -> Image.Image:
        """The body as a picture, decoded to its end."""
        image = Image.open(io.BytesIO(self.body))
        image.load()
        return image


@attrs.frozen
class Form:
    """A multipart form: what comes before the bytes of the file, and what after them."""

    boundary: str
    before: bytes
    after: bytes

    @classmethod
    def of(cls, *parts: tuple[str, bytes | None]) -> "Form":
        """The form of these parts (headers, content); the content of the file is None."""
        boundary = f"----was{uuid4().hex}"
        out = [b"", b""]
        at = 0
        for headers, content in parts:
            out[at] += f"--{boundary}\r\n{headers}\r\n\r\n".encode()
            if content is None:
                at = 1
            else:
                out[at] += content
            out[at] += _CRLF
        if not at:
            out[1], out[0] = out[0], b""
        return cls(boundary, out[0], out[1] + f"--{boundary}--\r\n".encode())

    @property
    def content_type(self) -> str:
        """The header of the request that carries the form."""
        return f"multipart/form-data; boundary={self.boundary}"

    def around(self, content: bytes) -> bytes:
        """The form with a file of these bytes."""
        return self.before + content + self.after

    def head(self, size: int | None, *headers: str) -> bytes:
        """The head of an upload of `size` bytes, with further headers; with None, the body comes in chunks."""
        length = "Transfer-Encoding: chunked"
        if size is not None:
            length = f"Content-Length: {len(self.before) + size + len(self.after)}"
        lines = [
            "POST /fileupload HTTP/1.1",
            "Host: was",
            f"Content-Type: {self.content_type}",
            length,
            *headers,
            "",
            "",
        ]
        return "\r\n".join(lines).encode()


def text_part(name: str, value: str) -> tuple[str, bytes]:
    """A field as browsers send it."""
    return f'Content-Disposition: form-data; name="{name}"', value.encode()


def latin1_part(name: str, value: str) -> tuple[str, bytes]:
    """A field as Specify 6 sends it."""
    return (
        f'Content-Disposition: form-data; name="{name}"\r\n'
        "Content-Type: text/plain; charset=ISO-8859-1\r\n"
        "Content-Transfer-Encoding: 8bit",
        value.encode("latin-1"),
    )


def file_part(name: str = "file", filename: str = "picture.jpg") -> tuple[str, None]:
    """A file."""
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return f"{disposition}\r\nContent-Type: application/octet-stream", None


def chunk(data: bytes) -> bytes:
    """A chunk of a body in chunked transfer encoding; no data make the last one."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Connection:
    """A socket, for whatever no decent HTTP client sends. Blocks."""

    def __init__(
        self, address: tuple[str, int] | str, receive_buffer: int | None = None, source: str | None = None
    ) -> None:
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._socket.settimeout(TIMEOUT)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self._socket.bind((source, 0))
        self._socket.connect(address)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """The socket, for select."""
        return self._socket.fileno()

    @property
    def port(self) -> int:
        """The TCP port of this end."""
        port: int = self._socket.getsockname()[1]
        return port

    def reset_on_close(self) -> None:
        """Do not take leave when hanging up."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def end(self) -> None:
        """Send nothing more, and go on to read."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self._socket.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send as much of `data` as the other side takes before it hangs up."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def has_answer(self, seconds: float) -> bool:
        """Whether something, or the end, arrives within that time."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def head(self) -> tuple[int, Message]:
        """Status and headers of the next answer."""
        version, _, rest = self._file.readline().partition(b" ")
        assert version in (b"HTTP/1.1", b"HTTP/1.0"), version
        return int(rest.split()[0]), parse_headers(self._file)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer when the other side hangs up."""
        return self._file.read(size)

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return self._file.read()

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, to a request of `method`; interim ones count."""
        status, headers = self.head()
        if method == "HEAD" or status < 200 or status in (204, 304):
            return Answer(status, headers, b"")
        if headers["Transfer-Encoding"] == "chunked":
            return Answer(status, headers, b"".join(iter(self._chunk, b"")))
        length = headers["Content-Length"]
        return Answer(status, headers, self.rest() if length is None else self.read(int(length)))

    def _chunk(self) -> bytes:
        data = self.read(int(self._file.readline(), 16))
        self._file.readline()
        return data


class Client:
    """A client of the server at `base_url` that knows its key."""

    def __init__(self, base_url: str, key: str) -> None:
        self.base_url = base_url
        self.key = key
        parts = urlsplit(base_url)
        self.address = (parts.hostname or "", parts.port or 80)
        self._http = HTTPClient(Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False)))

    def token(self, name: str, timestamp: int | None = None) -> str:
        """The token for `name`, valid now."""
        timestamp = int(time.time()) if timestamp is None else timestamp
        return f"{hmac.new(self.key.encode(), f'{timestamp}{name}'.encode(), hashlib.md5).hexdigest()}:{timestamp}"

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        **params: str | int | None,
    ) -> Answer:
        """Send a request; `params` that are None are left out of the query."""
        query = urlencode({name: value for name, value in params.items() if value is not None}, quote_via=quote)
        response = await self._http.request(
            method,
            f"{self.base_url}{path}{'?' if query else ''}{query}",
            headers=headers,
            data=data,
            allow_redirects=False,
            timeout=TIMEOUT,
        )
        message = Message()
        for name, values in response.headers.getAllRawHeaders():
            for value in values:
                message[name.decode()] = value.decode("latin-1")
        if isinstance(response.length, int):
            # Twisted's client keeps this header to itself.
            message["Content-Length"] = str(response.length)
        return Answer(response.code, message, await response.content())

    async def get(self, path: str, *, headers: dict[str, str] | None = None, **params: str | int | None) -> Answer:
        """GET."""
        return await self.request("GET", path, headers=headers, **params)

    async def head(self, path: str, *, headers: dict[str, str] | None = None, **params: str | int | None) -> Answer:
        """HEAD."""
        return await self.request("HEAD", path, headers=headers, **params)

    async def post(self, path: str, data: bytes, content_type: str) -> Answer:
        """POST."""
        return await self.request("POST", path, data=data, headers={"Content-Type": content_type})

    def specify7_form(
        self, name: str, *, coll: str | None = None, kind: str | None = "O", token: str | None = None
    ) -> Form:
        """The form of Specify 7's browser: the file comes first. Fields that are None are left out."""
        token = self.token(name) if token is None else token
        fields = {"token": token, "store": name, "type": kind, "coll": coll}
        texts = [text_part(field, value) for field, value in fields.items() if value is not None]
        return Form.of(file_part(), *texts)

    def specify6_form(
        self, name: str, *, coll: str = "KUFishvoucher", kind: str = "O", token: str | None = None
    ) -> Form:
        """The form of Specify 6: the file comes last, in a field of its own name."""
        fields = {
            "type": kind,
            "store": name,
            "token": self.token(name) if token is None else token,
            "coll": coll,
            "disp": "Ichthyology",
            "div": "Fishes",
            "inst": "Université",
        }
        texts = [latin1_part(field, value) for field, value in fields.items()]
        return Form.of(*texts, file_part("picture.jpg"))

    async def upload(self, form: Form, content: bytes) -> Answer:
        """Send a form with a file of these bytes."""
        return await self.post("/fileupload", form.around(content), form.content_type)

    async def upload_like_specify7(self, name: str, content: bytes, **fields: Any) -> Answer:
        """Upload with the file first; `fields` are those of `specify7_form`."""
        return await self.upload(self.specify7_form(name, **fields), content)

    async def upload_like_specify6(self, name: str, content: bytes, **fields: Any) -> Answer:
        """Upload with the file last; `fields` are those of `specify6_form`."""
        return await self.upload(self.specify6_form(name, **fields), content)

    async def store(self, name: str, content: bytes, coll: str | None = None) -> None:
        """Upload, successfully."""
        answer = await self.upload_like_specify7(name, content, coll=coll)
        assert (answer.status, answer.body) == (200, b"Ok."), answer

    async def original(self, name: str, *, headers: dict[str, str] | None = None, **params: str | int | None) -> Answer:
        """GET an original."""
        return await self.get("/fileget", headers=headers, filename=name, type="O", **params)

    async def thumbnail(
        self, name: str, scale: int | str | None, *, headers: dict[str, str] | None = None, **params: str | int | None
    ) -> Answer:
        """GET a thumbnail."""
        return await self.get("/fileget", headers=headers, filename=name, type="T", scale=scale, **params)

    async def metadata(self, name: str, **params: str | int | None) -> Answer:
        """GET what the camera wrote."""
        return await self.get("/getmetadata", filename=name, **params)

    async def reference(self, name: str, **params: str | int | None) -> Answer:
        """GET the address below /static/."""
        return await self.get("/getfileref", filename=name, **params)

    async def delete(self, name: str, *, coll: str | None = None, token: str | None = None) -> Answer:
        """Delete an asset, with an urlencoded form."""
        token = self.token(name) if token is None else token
        fields = {"filename": name, "coll": coll, "token": token}
        form = urlencode({field: value for field, value in fields.items() if value is not None})
        return await self.post("/filedelete", form.encode(), "application/x-www-form-urlencoded")

    def connect(self, receive_buffer: int | None = None) -> Connection:
        """A socket to the server."""
        return Connection(self.address, receive_buffer)

    def raw(self, data: bytes, method: str = "GET") -> Answer:
        """The answer to bytes sent as they are."""
        with self.connect() as connection:
            connection.send(data)
            return connection.answer(method)
