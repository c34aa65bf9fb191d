"""Bodies of requests and their digests, and ETags made of these."""

import hashlib
from base64 import b64encode

import attrs
from twisted.internet.threads import deferToThread

from was_daemon.stores.http.answer import Answer

PART_SIZE = "x-amz-meta-part-size"
"""Header with the size of each part but the last: the checksum of an object in parts is made of the parts' ones."""

HASHED_AT_ONCE = 1 << 16
"""Bytes that are hashed in less time than a call in a thread takes."""


def new_md5(data: bytes = b"") -> "hashlib._Hash":
    """Return an MD5 of `data`, to which more may be added."""
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
        return cls(content, new_md5(content).digest(), hashlib.sha256(content).digest())

    @classmethod
    async def of(cls, content: bytes) -> "Payload":
        """Fire with the payload of any number of bytes, which are hashed in a thread when they are many."""
        return cls.now(content) if len(content) <= HASHED_AT_ONCE else await deferToThread(cls.now, content)

    def checksum_header(self) -> dict[str, str]:
        """Return the header by which a server checks the body and keeps its checksum, if it supports that."""
        return {"x-amz-checksum-sha256": b64encode(self.sha256).decode()}


def etag_of(answer: Answer) -> str:
    """Return the ETag of an object, without quotes; "" when there is none."""
    return (answer.header("ETag") or "").removeprefix("W/").strip('"')


def composite(digests: list[bytes]) -> str:
    """Return the ETag of an object whose parts have these MD5 digests."""
    return f"{new_md5(b''.join(digests)).hexdigest()}-{len(digests)}"
