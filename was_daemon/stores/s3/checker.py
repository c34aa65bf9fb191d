"""Check of downloads against what the server says of the object."""

import hashlib
from base64 import b64encode
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3.integrity import HASHED_AT_ONCE, PART_SIZE, etag_of, new_md5
from was_daemon.stores.s3.tags import TagKind, Tags


class Checker:
    """Check of the bytes of a download against the checksum in the answer."""

    def __init__(
        self, make: Callable[[], "hashlib._Hash"], expected: str, part_size: int | None, answer: Answer | None
    ) -> None:
        """Make a check for `expected`; with a `part_size` it is the digest of the parts' digests.

        It is a checksum in base64, or the ETag of `answer`.
        """
        self._make = make
        self._expected = expected
        self._part_size = part_size
        self._answer = answer
        self._hash = make()
        self._left = part_size or 0
        self._parts: list[bytes] = []
        self._hashing: Deferred[None] = succeed(None)

    @classmethod
    def of(cls, answer: Answer) -> "Checker | None":
        """Return a check for the answer to a GET of a whole object; None when there is nothing to compare with."""
        told = answer.header(PART_SIZE) or ""
        part_size = int(told) if told.isdecimal() and int(told) else None
        checksum, tag = answer.header("x-amz-checksum-sha256"), etag_of(answer)
        if checksum and ("-" not in checksum or part_size):
            return cls(hashlib.sha256, checksum, part_size if "-" in checksum else None, None)
        if tag and ("-" not in tag or part_size):
            return cls(new_md5, tag, part_size if "-" in tag else None, answer)
        return None

    async def take(self, chunk: bytes) -> None:
        """Hash the next bytes; many are hashed in a thread while the ones after them arrive."""
        await self._hashing
        if len(chunk) <= HASHED_AT_ONCE:
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

    async def verify(self, tags: Tags) -> None:
        """Check the checksum when all bytes have come. Raises `StoreFailed` when it is another one."""
        await self._hashing
        count, kind = "", TagKind.WHOLE
        if self._part_size is not None:
            if self._left < self._part_size:
                self._end_part(self._part_size)
            self._hash = self._make()
            self._hash.update(b"".join(self._parts))
            count, kind = f"-{len(self._parts)}", TagKind.COMPOSITE
            if not self._expected.endswith(count):
                # It was copied here in other parts, and what it says of its parts was copied along.
                return
        digest = self._hash.digest()
        if self._answer:
            right = await tags.allow(kind, self._answer, self._expected, digest.hex() + count)
        else:
            right = b64encode(digest).decode() + count == self._expected
        if not right:
            raise StoreFailed("what the store sent is not what it was given")
