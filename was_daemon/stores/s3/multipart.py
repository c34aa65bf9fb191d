"""Uploads in parts: several parts at a time, invisible until the last step, and given up when they fail."""

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from xml.sax.saxutils import escape

import attrs
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it ships no annotations
from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]
from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import StoreFailed, StoreUnavailable
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3.bucket import ATTEMPTS, Bucket, pause
from was_daemon.stores.s3.errors import problem_in
from was_daemon.stores.s3.integrity import PART_SIZE, Payload, composite, etag_of, is_md5
from was_daemon.stores.s3.listing import document
from was_daemon.stores.s3.marks import Marks

MOST_PARTS = 10_000

_AT_ONCE = 3
"""Number of parts of one upload that are sent at the same time."""

_XML = {"Content-Type": "application/xml"}
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@attrs.frozen
class Part:
    """Next bytes of an upload, and whether they are the last ones."""

    content: bytes = attrs.field(repr=False)
    last: bool


async def in_parts(chunks: AsyncIterator[bytes], size: int) -> AsyncGenerator[Part, None]:
    """Yield `chunks` as parts of `size` bytes, the last one shorter; at least one. The caller closes `chunks`."""
    pieces: list[bytes] = []
    held = 0
    async for chunk in chunks:
        while held + len(chunk) > size:
            pieces.append(chunk[: size - held])
            chunk, held = chunk[size - held :], 0
            yield Part(_joined(pieces), last=False)
        pieces.append(chunk)
        held += len(chunk)
    yield Part(_joined(pieces), last=True)


def _joined(pieces: list[bytes]) -> bytes:
    """Join the pieces, and drop them, so that memory holds one part, not two."""
    whole = b"".join(pieces)
    pieces.clear()
    return whole


@attrs.frozen
class Uploaded:
    """New object: its ETag, its size in bytes, and its time in Unix seconds."""

    etag: str
    size: int
    at: float


@attrs.frozen
class _Sent:
    """Part that the server has: the server's ETag, and the digests of the bytes sent."""

    tag: str
    md5: bytes
    sha256: bytes


class Multipart:
    """Uploads in parts of one store."""

    def __init__(self, store: str, bucket: Callable[[], Bucket], folder: str, checksums: bool) -> None:
        """Make the uploads of `store`, all of whose objects have names that begin with `folder`.

        `checksums` has the server keep SHA-256 checksums.
        """
        self._bucket = bucket
        self._checksums = checksums
        self.marks = Marks(store, bucket, folder, self._abort)

    async def send(
        self,
        name: str,
        headers: Mapping[str, str],
        part_size: int,
        parts: AsyncGenerator[Part, None],
        size: int | None,
        lock: AbstractAsyncContextManager[None],
    ) -> Uploaded:
        """Make all parts, of `part_size` bytes each, the object `name`, under its `lock`.

        Raises `StoreFailed` when they are not `size` bytes together, if that is known. After an error the object is
        unchanged.
        """
        begin = {**headers, PART_SIZE: str(part_size)}
        if self._checksums:
            begin["x-amz-checksum-algorithm"] = "SHA256"
        bucket, mark = self._bucket(), await self.marks.new_mark()
        answer = await bucket.request("POST", name, {"uploads": ""}, begin)
        upload = (await document(answer)).findtext("{*}UploadId")
        if not upload:
            raise StoreFailed("the store did not begin an upload in parts")
        try:
            await self.marks.write(mark, name, upload)
        except BaseException:
            self.marks.uploads.discard(mark, lambda _mark: self._abort(name, upload))
            raise
        try:
            sending = _Parts(bucket, name, upload, self._checksums)
            await sending.send(parts)
            if size not in (None, sending.size):
                raise StoreFailed("the upload is not as long as was said")
            async with lock:
                uploaded = Uploaded(await sending.complete(), sending.size, bucket.clock.seconds())
        except BaseException:
            self.marks.uploads.discard(mark, partial(self._give_up, name, upload))
            raise
        self.marks.uploads.discard(mark, self.marks.delete)
        return uploaded

    async def _abort(self, name: str, upload: str) -> None:
        await self._bucket().call("DELETE", name, {"uploadId": upload}, accept=(200, 204, 404))

    async def _give_up(self, name: str, upload: str, mark: str) -> None:
        await self._abort(name, upload)
        await self.marks.delete(mark)


class _Parts:
    """Parts of one upload under way."""

    _log = Logger()

    def __init__(self, bucket: Bucket, name: str, upload: str, checksums: bool) -> None:
        self.size = 0
        self._bucket = bucket
        self._name = name
        self._query = {"uploadId": upload}
        self._checksums = checksums
        self._sent: dict[int, _Sent] = {}
        self._problem: Exception | None = None

    async def send(self, parts: AsyncGenerator[Part, None]) -> None:
        """Send each part as soon as it is there, a few at a time. Raises the first error."""
        places, under_way = DeferredSemaphore(_AT_ONCE), BackgroundTasks()
        try:
            number = 0
            async for part in parts:
                number += 1
                self.size += len(part.content)
                await places.acquire()
                if self._problem:
                    break
                under_way.start(self._put(number, part, places))
                del part
            for _ in range(_AT_ONCE):
                await places.acquire()
        finally:
            under_way.cancel()
        if self._problem:
            raise self._problem

    async def _put(self, number: int, part: Part, places: DeferredSemaphore) -> None:
        try:
            payload = await Payload.of(part.content)
            query = self._query | {"partNumber": str(number)}
            headers = payload.checksum_header() if self._checksums else {}
            answer = await self._bucket.call("PUT", self._name, query, headers, payload)
            self._sent[number] = _Sent(payload.check(answer), payload.md5, payload.sha256)
        except Exception as error:
            self._problem = self._problem or error
        finally:
            places.release()

    async def complete(self) -> str:
        """Have the server make the object of the parts; fire with its ETag."""
        body = Payload.now(self._document().encode())
        expected = composite([self._sent[number].md5 for number in sorted(self._sent)])
        for attempt in range(ATTEMPTS):
            answer = await self._bucket.request("POST", self._name, self._query, _XML, body, accept=(200, 404))
            try:
                # An error may come after the status: putting parts together takes a server its time.
                said = await answer.content(1 << 16)
            except StoreUnavailable:
                if attempt + 1 == ATTEMPTS:
                    raise
                await pause(self._bucket.clock, attempt)
                continue
            tag = _tag_in(said)
            if tag is not None:
                # Ceph, for one, leaves it empty.
                return self._checked(answer, tag or await self._tag_there() or "", expected)
            if answer.code == 404 and await self._tag_there() == expected:
                # It was completed already, and only the answer was lost.
                return expected
            problem = problem_in(said, answer)
            if not problem.passing or attempt + 1 == ATTEMPTS:
                self._log.warn("{name}: {code} {details}", name=self._name, code=problem.code, details=problem.details)
                raise problem.error
            await pause(self._bucket.clock, attempt)
        raise AssertionError("unreachable")

    def _document(self) -> str:
        lines = []
        for number, sent in sorted(self._sent.items()):
            checksum = f"<ChecksumSHA256>{b64encode(sent.sha256).decode()}</ChecksumSHA256>" if self._checksums else ""
            tag = f"<ETag>{escape(sent.tag)}</ETag>"
            lines.append(f"<Part>{checksum}{tag}<PartNumber>{number}</PartNumber></Part>")
        return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{"".join(lines)}</CompleteMultipartUpload>'

    def _checked(self, answer: Answer, tag: str, expected: str) -> str:
        # Some servers' ETag is the MD5 of all bytes together, which is not known here.
        if is_md5(answer, tag) and "-" in tag and tag != expected:
            self._log.error("{name} has the ETag {tag}, not {right}", name=self._name, tag=tag, right=expected)
            raise StoreFailed("the store put the parts of the upload together to something else")
        return tag

    async def _tag_there(self) -> str | None:
        """Fire with the ETag of the object that has the name now; None when there is none."""
        answer = await self._bucket.call("HEAD", self._name, accept=(200, 404))
        return etag_of(answer) if answer.code == 200 else None


def _tag_in(document: bytes) -> str | None:
    """Return the ETag in the document that reports an upload's completion; None when it reports something else."""
    try:
        root = fromstring(document.strip(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return None
    done = root.tag.endswith("CompleteMultipartUploadResult")
    return (root.findtext("{*}ETag") or "").strip('"') if done else None
