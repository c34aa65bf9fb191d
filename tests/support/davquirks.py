"""A WebDAV server in the process of the tests, whose answers differ from the RFC as those of other servers do."""

import hashlib
import itertools
import time
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

import attrs
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.support.scripted_content import send_content


@attrs.frozen
class Stored:
    """A file."""

    content: bytes
    version: int


class QuirkyDav(Resource):
    """Files in memory, below a `base` of the path.

    Each attribute is a quirk. Those that are functions are told the request, and by returning a status refuse it.
    """

    isLeaf = True

    def __init__(self, base: str = "/dav") -> None:
        super().__init__()
        self.base = base
        self.files: dict[str, Stored] = {}
        self.directories = {""}
        self.steps: list[tuple[str, str]] = []
        self._versions = itertools.count(1)
        self._born = int(time.time())
        self.refuse: Callable[[Request, str], int | None] = lambda request, path: None
        """Refuses a request about a path below the base."""
        self.missing_parent = 409
        """Status of what needs a directory that is not there."""
        self.exists_already = 405
        """Status of a MKCOL of what is there."""
        self.href: Callable[[str, bool], str] = lambda path, is_directory: quote(f"{base}/{path}") + "/" * is_directory
        """Address in a listing, of a path or of a directory's path."""
        self.shows_itself = True
        self.lists: Callable[[str], bool] = lambda path: True
        """Whether a listing has the path in it."""
        self.self_status = ""
        self.tells_sizes = True
        self.listing: bytes | None = None
        """What is listed, whatever is asked for."""
        self.head: Callable[[Request], int | None] = lambda request: None
        self.chunked_get = False
        self.get: Callable[[Request, str], int | None] = lambda request, path: None
        """May answer to a GET with another status."""
        self.etag: Callable[[str, str], str | None] = lambda _method, etag: f'"{etag}"'
        self.modified: Callable[[str], str | None] = lambda time: time
        """Changes a time."""
        self.move: Callable[[Request, str, str], int | None] = lambda request, source, target: None
        self.keep: Callable[[bytes], bytes] = lambda content: content
        """What is kept of an upload."""
        self.spell: Callable[[str], str] = lambda path: path
        """How the server writes a path."""

    def file(self, content: bytes) -> Stored:
        """Return a new file."""
        return Stored(content, next(self._versions))

    def render(self, request: Request) -> bytes | int:
        path = self._path(request.path.decode())
        self.steps.append((request.method.decode(), path))
        refused = self.refuse(request, path)
        if refused:
            request.setResponseCode(refused)
            return b""
        return getattr(self, f"_{request.method.decode().lower()}")(request, self.spell(path))

    def _path(self, path: str) -> str:
        return unquote(path).removeprefix(self.base).strip("/")

    def _end(self, request: Request, status: int) -> bytes:
        request.setResponseCode(status)
        return b""

    def _put(self, request: Request, path: str) -> bytes:
        if path.rpartition("/")[0] not in self.directories:
            return self._end(request, self.missing_parent)
        status = 204 if path in self.files else 201
        self.files[path] = self.file(self.keep(request.content.read()))
        return self._end(request, status)

    def _mkcol(self, request: Request, path: str) -> bytes:
        if path in self.directories:
            return self._end(request, self.exists_already)
        if path.rpartition("/")[0] not in self.directories:
            return self._end(request, self.missing_parent)
        self.directories.add(path)
        return self._end(request, 201)

    def _move(self, request: Request, path: str) -> bytes:
        target = self.spell(self._path(urlsplit(request.getHeader("Destination") or "").path))
        status = self.move(request, path, target)
        if status:
            return self._end(request, status)
        if path not in self.files:
            return self._end(request, 404)
        if target.rpartition("/")[0] not in self.directories:
            return self._end(request, self.missing_parent)
        return self._put_at(request, target, lambda: self.files.pop(path))

    def _copy(self, request: Request, path: str) -> bytes:
        target = self.spell(self._path(urlsplit(request.getHeader("Destination") or "").path))
        if path not in self.files:
            return self._end(request, 404)
        if target.rpartition("/")[0] not in self.directories:
            return self._end(request, self.missing_parent)
        return self._put_at(request, target, lambda: self.files[path])

    def _put_at(self, request: Request, target: str, take: "Callable[[], Stored]") -> bytes:
        if target in self.files and request.getHeader("Overwrite") == "F":
            return self._end(request, 412)
        status = 204 if target in self.files else 201
        self.files[target] = take()
        return self._end(request, status)

    def _delete(self, request: Request, path: str) -> bytes:
        return self._end(request, 204 if self.files.pop(path, None) else 404)

    def _told(self, request: Request, path: str) -> bool:
        if path not in self.files:
            request.setResponseCode(404)
            return False
        for name, value in (("ETag", self._tag(request.method.decode(), path)), ("Last-Modified", self._time(path))):
            if value is not None:
                request.setHeader(name, value)
        return True

    def _tag(self, method: str, path: str) -> str | None:
        return self.etag(method, hashlib.sha1(f"{self.files[path].version}".encode()).hexdigest())

    def _time(self, path: str) -> str | None:
        return self.modified(formatdate(self._born + self.files[path].version, usegmt=True))

    def _head(self, request: Request, path: str) -> bytes:
        if self._told(request, path):
            request.setHeader("Content-Length", str(len(self.files[path].content)))
            request.setResponseCode(self.head(request) or 200)
        return b""

    def _get(self, request: Request, path: str) -> bytes | int:
        if not self._told(request, path):
            return b""
        status = self.get(request, path)
        if status:
            return self._end(request, status)
        return send_content(request, self.files[path].content, self.chunked_get)

    def _propfind(self, request: Request, path: str) -> bytes:
        request.setHeader("Date", formatdate(usegmt=True))
        if path not in self.directories and path not in self.files:
            return self._end(request, 404)
        below = [path] if self.shows_itself or path in self.files else []
        if request.getHeader("Depth") == "1":
            prefix = f"{path}/".lstrip("/")
            members = sorted({*self.files, *self.directories} - {""})
            below += [each for each in members if each.startswith(prefix) and "/" not in each.removeprefix(prefix)]
        request.setResponseCode(207)
        if self.listing is not None:
            return self.listing
        entries = "".join(self._entry(each) for each in below if self.lists(each))
        return f'<d:multistatus xmlns:d="DAV:">{entries}</d:multistatus>'.encode()

    def _entry(self, path: str) -> str:
        is_directory = path in self.directories
        told = "<d:collection/>" if is_directory else ""
        properties = f"<d:resourcetype>{told}</d:resourcetype>"
        if not is_directory:
            size, tag, time = len(self.files[path].content), self._tag("PROPFIND", path), self._time(path)
            properties += f"<d:getcontentlength>{size}</d:getcontentlength>" if self.tells_sizes else ""
            properties += f"<d:getetag>{escape(tag)}</d:getetag>" if tag else ""
            properties += f"<d:getlastmodified>{time}</d:getlastmodified>" if time else ""
        status = self.self_status if is_directory else ""
        return (
            f"<d:response><d:href>{escape(self.href(path, is_directory))}</d:href>{status}"
            f"<d:propstat><d:prop>{properties}</d:prop></d:propstat></d:response>"
        )
