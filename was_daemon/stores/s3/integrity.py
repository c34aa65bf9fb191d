"""Checksums of objects: of what is sent, and of what comes back."""

import hashlib
from base64 import b64encode
from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.answer import Answer

PART_SIZE = "x-amz-meta-part-size"
"""The header that says how long each part but the last is: the checksum of an object in parts is made of theirs."""

_AT_ONCE = 1 << 16
"""Bytes that are hashed in less time than it takes to ask a thread."""


class Damaged(StoreFailed):
    """The store holds other bytes than it was sent."""


def _md5(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)


@attrs.frozen
class Payload:
    """What a request sends, and its digests."""

    content: bytes = attrs.field(repr=False)
    md5: bytes
    sha256: bytes

    @classmethod
    def now(cls, content: bytes) -> "Payload":
        """Of a few bytes; blocks."""
        return cls(content, _md5(content).digest(), hashlib.sha256(content).digest())

    @classmethod
    async def of(cls, content: bytes) -> "Payload":
        """Of bytes, hashed in a thread when they are many."""
        return cls.now(content) if len(content) <= _AT_ONCE else await deferToThread(cls.now, content)

    def checksum_header(self) -> dict[str, str]:
        """Has a server check the body, and keep its checksum, if it knows how to."""
        return {"x-amz-checksum-sha256": b64encode(self.sha256).decode()}

    def check(self, answer: Answer) -> str:
        """The ETag in the answer to an upload; `Damaged` when it is the MD5 of something else."""
        tag = etag_of(answer)
        if is_md5(answer, tag) and "-" not in tag and tag != self.md5.hex():
            raise Damaged("the upload arrived damaged in the store")
        return tag


def etag_of(answer: Answer) -> str:
    """The ETag of an object, without quotes; `StoreFailed` when there is none."""
    tag = (answer.header("ETag") or "").strip('"')
    if not tag:
        raise StoreFailed("the store does not tell versions of a file apart")
    return tag


def is_md5(answer: Answer, tag: str) -> bool:
    """Whether an ETag is the MD5 of the bytes: that of an object encrypted with a key of its owner's is not."""
    encrypted = (answer.header("x-amz-server-side-encryption") or "AES256") != "AES256"
    encrypted = encrypted or answer.header("x-amz-server-side-encryption-customer-algorithm") is not None
    return not encrypted and len(tag.partition("-")[0]) == 32


def composite(digests: list[bytes]) -> str:
    """The ETag of an object whose parts have these MD5 digests."""
    return f"{_md5(b''.join(digests)).hexdigest()}-{len(digests)}"


class Checker:
    """Compares the bytes of a download with the checksum that the store told."""

    def __init__(self, make: Callable[[], "hashlib._Hash"], expected: str, part_size: int | None, base64: bool) -> None:
        """`expected` is as the store writes it; with a `part_size` in bytes it is that of the parts' digests."""
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
        """What the answer to a GET of a whole object gives to check with; None when that is nothing known."""
        told = answer.header(PART_SIZE) or ""
        part_size = int(told) if told.isdecimal() and int(told) else None
        checksum, tag = answer.header("x-amz-checksum-sha256"), etag_of(answer)
        if checksum and ("-" not in checksum or part_size):
            return cls(hashlib.sha256, checksum, part_size if "-" in checksum else None, base64=True)
        if is_md5(answer, tag) and ("-" not in tag or part_size):
            return cls(_md5, tag, part_size if "-" in tag else None, base64=False)
        return None

    async def take(self, chunk: bytes) -> None:
        """The next bytes; many are hashed in a thread while the ones after them arrive."""
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
        """All bytes have come; `StoreFailed` when they are not those of the checksum."""
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
