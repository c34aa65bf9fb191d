"""Checksums of objects, of the bytes sent and of the bytes received."""

import hashlib
from base64 import b64encode
from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.answer import Answer

PART_SIZE = "x-amz-meta-part-size"
"""Header with the size of each part but the last: the checksum of an object in parts is made of the parts' ones."""

_AT_ONCE = 1 << 16
"""Bytes that are hashed in less time than a call in a thread takes."""


class Damaged(StoreFailed):
    """Upload of which the store has other bytes than it was sent."""


def _md5(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)


@attrs.frozen
class Payload:
    """Body of a request, and its digests."""

    content: bytes = attrs.field(repr=False)
    md5: bytes
    sha256: bytes

    @classmethod
    def now(cls, content: bytes) -> "Payload":
        """Return the payload of a few bytes; blocks."""
        return cls(content, _md5(content).digest(), hashlib.sha256(content).digest())

    @classmethod
    async def of(cls, content: bytes) -> "Payload":
        """Fire with the payload of any number of bytes, which are hashed in a thread when they are many."""
        return cls.now(content) if len(content) <= _AT_ONCE else await deferToThread(cls.now, content)

    def checksum_header(self) -> dict[str, str]:
        """Return the header by which a server checks the body and keeps its checksum, if it supports that."""
        return {"x-amz-checksum-sha256": b64encode(self.sha256).decode()}

    def check(self, answer: Answer) -> str:
        """Return the ETag in the answer to an upload. Raises `Damaged` when it is the MD5 of other bytes."""
        tag = etag_of(answer)
        if is_md5(answer, tag) and "-" not in tag and tag != self.md5.hex():
            raise Damaged("the upload arrived damaged in the store")
        return tag


def etag_of(answer: Answer) -> str:
    """Return the ETag of an object, without quotes. Raises `StoreFailed` when there is none."""
    tag = (answer.header("ETag") or "").strip('"')
    if not tag:
        raise StoreFailed("the store does not tell versions of a file apart")
    return tag


def is_md5(answer: Answer, tag: str) -> bool:
    """Return whether an ETag is an MD5; that of an object encrypted with a key of its owner is not."""
    encrypted = (answer.header("x-amz-server-side-encryption") or "AES256") != "AES256"
    encrypted = encrypted or answer.header("x-amz-server-side-encryption-customer-algorithm") is not None
    return not encrypted and len(tag.partition("-")[0]) == 32


def composite(digests: list[bytes]) -> str:
    """Return the ETag of an object whose parts have these MD5 digests."""
    return f"{_md5(b''.join(digests)).hexdigest()}-{len(digests)}"


class Checker:
    """Check of the bytes of a download against the checksum in the answer."""

    def __init__(self, make: Callable[[], "hashlib._Hash"], expected: str, part_size: int | None, base64: bool) -> None:
        """Make a check for `expected`, as the store writes it; with a `part_size` it is the parts' digest."""
        self._make = make
        self._expected = expected
        self._part_size = part_size
        self._base64 = base64
        self._hash = make()
        self._left = part_size or 0
        self._parts: list[bytes] = []
        self._hashing: Deferred[None] = succeed(None)

    @classmethod
    def of(cls, answer: Answer) -> "Checker | None":
        """Return a check for the answer to a GET of a whole object; None when the answer has no known checksum."""
        told = answer.header(PART_SIZE) or ""
        part_size = int(told) if told.isdecimal() and int(told) else None
        checksum, tag = answer.header("x-amz-checksum-sha256"), etag_of(answer)
        if checksum and ("-" not in checksum or part_size):
            return cls(hashlib.sha256, checksum, part_size if "-" in checksum else None, base64=True)
        if is_md5(answer, tag) and ("-" not in tag or part_size):
            return cls(_md5, tag, part_size if "-" in tag else None, base64=False)
        return None

    async def take(self, chunk: bytes) -> None:
        """Hash the next bytes; many are hashed in a thread while the ones after them arrive."""
        await self._hashing
        if len(chunk) <= _AT_ONCE:
            self._update(chunk)
        else:
            self._hashing = deferToThread(self._update, chunk)

    def _update(self, chunk: bytes) -> None:
        if self._part_size is None:
            self._hash.update(chunk)
            return
        rest = memoryview(chunk)
        while rest:
            self._hash.update(rest[: self._left])
            taken = min(self._left, len(rest))
            self._left, rest = self._left - taken, rest[taken:]
            if not self._left:
                self._end_part(self._part_size)

    def _end_part(self, size: int) -> None:
        self._parts.append(self._hash.digest())
        self._hash, self._left = self._make(), size

    async def verify(self) -> None:
        """Check the checksum when all bytes have come. Raises `StoreFailed` when it is another one."""
        await self._hashing
        count = ""
        if self._part_size is not None:
            if self._left < self._part_size:
                self._end_part(self._part_size)
            self._hash = self._make()
            self._hash.update(b"".join(self._parts))
            count = f"-{len(self._parts)}"
        digest = self._hash.digest()
        if (b64encode(digest).decode() if self._base64 else digest.hex()) + count != self._expected:
            raise StoreFailed("what the store sent is not what it was given")
