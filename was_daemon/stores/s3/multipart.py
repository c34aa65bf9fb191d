"""Uploads in parts: several parts at a time, invisible until the last step, and given up when they fail."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from posixpath import basename

import attrs
from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import AssetExists, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3.bucket import ATTEMPTS, Bucket, pause
from was_daemon.stores.s3.conditions import Condition
from was_daemon.stores.s3.errors import problem_in
from was_daemon.stores.s3.integrity import PART_SIZE, Payload, composite, etag_of
from was_daemon.stores.s3.parts import (
    XML,
    SentPart,
    abort_upload,
    begin_upload,
    completed_tag,
    completion,
    part_query,
)
from was_daemon.stores.s3.tags import TagKind, Tags
from was_daemon.stores.s3.upload_records import UploadRecords

MOST_PARTS = 10_000

_AT_ONCE = 3
"""Number of parts of one upload that are sent at the same time."""

UPLOAD = "x-amz-meta-was-upload"
"""Header that tells, of an object in parts or one written under a condition, which upload it came from."""


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
    """New object: its ETag, the MD5 that this may be, its size in bytes, and its time in Unix seconds."""

    etag: str
    md5: str
    size: int
    at: float

    def may_be(self, stat: AssetStat) -> bool:
        """Return whether `stat` is of this object; some servers tell another ETag when they are asked afterwards."""
        return stat.size == self.size and (self.etag.lower() != self.md5 or stat.etag.lower() == self.md5)


class Multipart:
    """Uploads in parts of one store."""

    def __init__(self, store: str, bucket: Callable[[], Bucket], folder: str, checksums: bool) -> None:
        """Make the uploads of `store`, all of whose objects have names that begin with `folder`.

        `checksums` has the server keep SHA-256 checksums.
        """
        self._bucket = bucket
        self._checksums = checksums
        self.records = UploadRecords(store, bucket, folder, self._abort)
        self.tags = Tags(bucket, self.records)

    async def send(
        self,
        name: str,
        headers: Mapping[str, str],
        part_size: int,
        parts: AsyncGenerator[Part, None],
        size: int | None,
        lock: AbstractAsyncContextManager[None],
        condition: Condition,
    ) -> Uploaded:
        """Make all parts, of `part_size` bytes each, the object `name`, under its `lock`.

        Raises `StoreFailed` when they are not `size` bytes together, if that is known, and `AssetExists` or `Conflict`
        where the server refuses for the `condition`. After an error the object is unchanged.
        """
        bucket, record = self._bucket(), await self.records.new_record()
        begin = {**headers, PART_SIZE: str(part_size), UPLOAD: basename(record)}
        if self._checksums:
            begin["x-amz-checksum-algorithm"] = "SHA256"
        upload = await begin_upload(bucket, name, begin)
        try:
            await self.records.write(record, name, upload)
        except BaseException:
            self.records.uploads.discard(record, lambda _record: self._abort(name, upload))
            raise
        try:
            sending = _Parts(bucket, self.tags, name, upload, basename(record), self._checksums, condition)
            await sending.send(parts)
            if size not in (None, sending.size):
                raise StoreFailed("the upload is not as long as was said")
            async with lock:
                uploaded = await sending.complete()
        except BaseException:
            self.records.uploads.discard(record, partial(self._give_up, name, upload))
            raise
        self.records.uploads.discard(record, self.records.delete)
        return uploaded

    async def _abort(self, name: str, upload: str) -> None:
        await abort_upload(self._bucket(), name, upload)

    async def _give_up(self, name: str, upload: str, record: str) -> None:
        await self._abort(name, upload)
        await self.records.delete(record)


class _Parts:
    """Parts of one upload under way."""

    _log = Logger()

    def __init__(
        self, bucket: Bucket, tags: Tags, name: str, upload: str, record: str, checksums: bool, condition: Condition
    ) -> None:
        self.size = 0
        self._bucket = bucket
        self._tags = tags
        self._name = name
        self._upload = upload
        self._record = record
        self._checksums = checksums
        self._condition = condition
        self._sent: dict[int, SentPart] = {}
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
            query, headers = part_query(self._upload, number), payload.checksum_header() if self._checksums else {}
            answer = await self._bucket.call("PUT", self._name, query, headers, payload)
            tag, md5 = etag_of(answer), payload.md5.hex()
            if not await self._tags.allow(TagKind.PART, answer, tag, md5):
                raise StoreFailed("the upload arrived damaged in the store")
            self._sent[number] = SentPart(tag or md5, payload.md5, payload.sha256)
        except Exception as error:
            self._problem = self._problem or error
        finally:
            places.release()

    async def complete(self) -> Uploaded:
        """Have the server make the object of the parts."""
        parts = sorted(self._sent.items())
        expected = composite([sent.md5 for _number, sent in parts])
        try:
            tag = await self._completed(completion(parts, self._checksums), expected)
        except AssetExists:
            # An earlier attempt may have been carried out, and only its answer lost.
            if (there := await self._tag_there(expected)) is None:
                raise
            tag = there
        return Uploaded(tag, expected, self.size, self._bucket.clock.seconds())

    async def _completed(self, body: Payload, expected: str) -> str:
        """Fire with the ETag of the object that the document in `body` asks for."""
        query, headers = {"uploadId": self._upload}, {**XML, **self._condition}
        for attempt in range(ATTEMPTS):
            answer = await self._bucket.request("POST", self._name, query, headers, body, accept=(200, 404))
            try:
                # An error may come after the status: putting parts together takes a server its time.
                said = await answer.content(1 << 16)
            except StoreUnavailable:
                if attempt + 1 == ATTEMPTS:
                    raise
                await pause(self._bucket.clock, attempt)
                continue
            tag = completed_tag(said)
            if tag is not None:
                # Ceph, for one, leaves it empty.
                return await self._checked(answer, tag or await self._tag_there() or "", expected)
            if answer.code == 404 and (there := await self._tag_there(expected)) is not None:
                # It was completed already, and only the answer was lost.
                return there
            problem = problem_in(said, answer)
            if not problem.is_temporary or attempt + 1 == ATTEMPTS:
                self._log.warn("{name}: {code} {details}", name=self._name, code=problem.code, details=problem.details)
                raise problem.error
            await pause(self._bucket.clock, attempt)
        raise AssertionError("unreachable")

    async def _checked(self, answer: Answer, tag: str, expected: str) -> str:
        # Some servers' ETag is the MD5 of all bytes together, which is not known here.
        if not await self._tags.allow(TagKind.COMPOSITE, answer, tag, expected):
            self._log.error("{name} has the ETag {tag}, not {right}", name=self._name, tag=tag, right=expected)
            raise StoreFailed("the store put the parts of the upload together to something else")
        return tag

    async def _tag_there(self, expected: str | None = None) -> str | None:
        """Fire with the ETag of the object that has the name now; None when there is none.

        With the ETag that is `expected` also None when it came from another upload.
        """
        answer = await self._bucket.call("HEAD", self._name, accept=(200, 404))
        tag = etag_of(answer)
        # Of two uploads of the same bytes, only one may be told that it has made a new object.
        is_same = tag.lower() == expected and not self._condition
        ours = expected is None or answer.header(UPLOAD) == self._record or is_same
        return tag if answer.code == 200 and ours else None


async def preceded(begun: list[Part], rest: AsyncGenerator[Part, None]) -> AsyncGenerator[Part, None]:
    """Yield the part in `begun`, which is taken out of it, and the parts after it."""
    yield begun.pop()
    async for part in rest:
        yield part
