"""An S3 server in the process of the tests, whose answers differ from Amazon's as those of other servers do."""

import hashlib
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

import attrs
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.support.scripted_content import send_content
from was_daemon.stores.s3.tags import TagKind


def md5(content: bytes) -> str:
    """The digest as Amazon writes it."""
    return hashlib.md5(content).hexdigest()


@attrs.define
class Stored:
    """An object."""

    content: bytes
    digest: str
    kind: TagKind
    metadata: dict[str, str]


class QuirkyS3(Resource):
    """A bucket in memory.

    `tag` makes ETags of MD5s; it is told the method, the kind and the MD5. `head` may change the answer to a HEAD,
    `damage` what is kept of a body. `refuse` is told each request about an asset, and returns the answer to it instead
    of the server's own, or None. With `forgets_completion` the answer to it is that there is no such upload.
    `mixes_up_parts` puts them together from the last to the first.
    `condition` is asked before an object is written, and answers a request whose condition does not hold; without it
    conditions are ignored. `loses` says whether the answer to a request that was carried out is lost.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.began: dict[str, dict[str, str]] = {}
        """The metadata of all uploads in parts, those that are over too."""
        self.steps: list[str] = []
        """The methods of the requests about assets, as they came."""
        self.tag: Callable[[str, TagKind, str], str | None] = lambda _method, _kind, digest: f'"{digest}"'
        self.head: Callable[[Request], None] = lambda request: None
        self.chunked_get = False
        self.forgets_completion = False
        self.mixes_up_parts = False
        self.condition: Callable[[QuirkyS3, Request, str], bytes | None] = lambda _server, _request, _name: None
        self.loses: Callable[[Request], bool] = lambda request: False
        self.damage: Callable[[bytes], bytes] = lambda content: content
        self.refuse: Callable[[Request], bytes | None] = lambda request: None
        self.minds_ranges = True
        self.encodes = True
        self.page = 1000
        self.old_listings = False
        self.minds_prefixes = True
        self.truncated = "true"
        """What a listing says of itself that goes on."""

    def render(self, request: Request) -> bytes | int:
        method = request.method.decode()
        _slash, _bucket, name = (
            unquote(request.path.decode()).split("/", 2) if request.path.count(b"/") > 1 else ("",) * 3
        )
        request.setHeader("Content-Type", "application/xml")
        if not name:
            return self._listing(request)
        if ".was-staging" not in name:
            self.steps.append(method)
            answer = self.refuse(request)
            if answer is not None:
                return answer
        done = getattr(self, f"_{method.lower()}")(request, name)
        if ".was-staging" not in name and self.loses(request):
            request.setResponseCode(500)
            return b""
        return done

    def _told(self, request: Request, kind: TagKind, digest: str) -> None:
        tag = self.tag(request.method.decode(), kind, digest)
        if tag is not None:
            request.setHeader("ETag", tag)

    def _put(self, request: Request, name: str) -> bytes:
        content = self.damage(request.content.read())
        digest = md5(content)
        if b"partNumber" in request.args:
            self.uploads[request.args[b"uploadId"][0].decode()][int(request.args[b"partNumber"][0])] = content
            self._told(request, TagKind.PART, digest)
        else:
            refusal = self.condition(self, request, name)
            if refusal is not None:
                return refusal
            self.objects[name] = Stored(content, digest, TagKind.WHOLE, _metadata(request))
            self._told(request, TagKind.WHOLE, digest)
        return b""

    def _post(self, request: Request, name: str) -> bytes:
        if b"uploads" in request.args:
            upload = str(len(self.began))
            self.uploads[upload], self.began[upload] = {}, _metadata(request)
            return (
                f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode()
            )
        refusal = self.condition(self, request, name)
        if refusal is not None:
            return refusal
        upload = request.args[b"uploadId"][0].decode()
        if upload not in self.uploads:
            request.setResponseCode(404)
            return b"<Error><Code>NoSuchUpload</Code></Error>"
        parts = [part for _, part in sorted(self.uploads.pop(upload).items())]
        digest = self._join(name, parts[::-1] if self.mixes_up_parts else parts, self.began[upload])
        if self.forgets_completion and ".was-staging" not in name:
            request.setResponseCode(404)
            return b"<Error><Code>NoSuchUpload</Code></Error>"
        tag = escape(self.tag("POST", TagKind.COMPOSITE, digest) or "")
        return f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>".encode()

    def put_in_parts(self, name: str, content: bytes, size: int, metadata: dict[str, str]) -> None:
        """Have an object there that somebody else sent, in parts of a `size`."""
        self._join(name, [content[start : start + size] for start in range(0, len(content), size)], metadata)

    def _join(self, name: str, parts: list[bytes], metadata: dict[str, str]) -> str:
        digest = f"{md5(b''.join(hashlib.md5(part).digest() for part in parts))}-{len(parts)}"
        self.objects[name] = Stored(b"".join(parts), digest, TagKind.COMPOSITE, metadata)
        return digest

    def _delete(self, request: Request, name: str) -> bytes:
        if b"uploadId" in request.args:
            self.uploads.pop(request.args[b"uploadId"][0].decode(), None)
        else:
            self.objects.pop(name, None)
        request.setResponseCode(204)
        return b""

    def _head(self, request: Request, name: str) -> bytes:
        if self._found(request, name):
            request.setHeader("Content-Length", str(len(self.objects[name].content)))
            self.head(request)
        return b""

    def _get(self, request: Request, name: str) -> bytes | int:
        if not self._found(request, name):
            return b""
        content, tag = self.objects[name].content, request.responseHeaders.getRawHeaders("ETag", [None])[0]
        condition = request.getHeader("If-Match")
        if condition and condition != tag:
            request.setResponseCode(412)
            return b""
        if not self.minds_ranges:
            request.requestHeaders.removeHeader("Range")
        return send_content(request, content, self.chunked_get)

    def _found(self, request: Request, name: str) -> bool:
        if name not in self.objects:
            request.setResponseCode(404)
            return False
        stored = self.objects[name]
        request.setHeader("Last-Modified", formatdate(1_796_000_000, usegmt=True))
        for key, value in stored.metadata.items():
            request.setHeader(key, value)
        self._told(request, stored.kind, stored.digest)
        return True

    def _listing(self, request: Request) -> bytes:
        asked = {key.decode(): values[0].decode() for key, values in request.args.items()}
        prefix = asked.get("prefix", "") if self.minds_prefixes else ""
        after = asked.get("marker" if self.old_listings else "continuation-token", "")
        found = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        if "delimiter" in asked and self.minds_prefixes:
            found = [name for name in found if "/" not in name.removeprefix(prefix)]
        page, more = found[: self.page], len(found) > self.page
        write = quote if self.encodes else escape
        entries = "".join(
            f"<Contents><Key>{write(name)}</Key><Size>{len(self.objects[name].content)}</Size></Contents>"
            for name in page
        )
        if more and not self.old_listings:
            entries += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
        truncated = self.truncated if more else "false"
        return (
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>"
            f"{entries}</ListBucketResult>"
        ).encode()


def error(request: Request, status: int, code: str) -> bytes:
    """Answer with an error, whose document says nothing more without a code."""
    request.setResponseCode(status)
    return f"<Error><Code>{code}</Code></Error>".encode() if code else b""


def kept(server: QuirkyS3, request: Request, name: str) -> bytes | None:
    """Refuse to replace an object, as Amazon does, where that is the condition."""
    is_taken = request.getHeader("If-None-Match") == "*" and name in server.objects
    return error(request, 412, "PreconditionFailed") if is_taken else None


def _metadata(request: Request) -> dict[str, str]:
    headers = {key.decode().lower(): values[0].decode() for key, values in request.requestHeaders.getAllRawHeaders()}
    return {key: value for key, value in headers.items() if key.startswith("x-amz-meta-")}
