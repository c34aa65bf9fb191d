"""Writes of objects: in one piece or in parts, and under a condition or not."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from uuid import uuid4

from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import AssetError, AssetExists, CannotCreate, StoreFailed
from was_daemon.model.interfaces import AssetStat, IStagingFile
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3.bucket import ATTEMPTS, Bucket, pause
from was_daemon.stores.s3.conditions import IF_NEW, NO_CONDITION, Condition, Conditions
from was_daemon.stores.s3.errors import Conflict
from was_daemon.stores.s3.integrity import Payload, etag_of
from was_daemon.stores.s3.multipart import MOST_PARTS, UPLOAD, Multipart, Part, Uploaded, in_parts, preceded
from was_daemon.stores.s3.tags import TagKind

_SMALL_AT_ONCE = 16
_LARGE_AT_ONCE = 4
"""Uploads at the same time, of one part and of several: each part is in memory until the server has it."""


class Writer:
    """Writes of one store's objects, under the `locks` of their names."""

    _log = Logger()

    def __init__(
        self,
        bucket: Callable[[], Bucket],
        multipart: Multipart,
        locks: KeyLocks[str],
        look: Callable[[str], Awaitable[AssetStat]],
        part_size: int,
        checksums: bool,
    ) -> None:
        """Make a writer; `look` fires with the version of an object, and raises `AssetNotFound`.

        Larger objects than `part_size` bytes are sent in parts. `checksums` has the server keep SHA-256 checksums.
        """
        self._bucket = bucket
        self._multipart = multipart
        self._conditions = Conditions(bucket, multipart.records)
        self._locks = locks
        self._look = look
        self._part_size = part_size
        self._checksums = checksums
        self._small = DeferredSemaphore(_SMALL_AT_ONCE)
        self._large = DeferredSemaphore(_LARGE_AT_ONCE)

    async def create(self, name: str, media_type: str, staged: IStagingFile) -> AssetStat:
        """Write a new object. Raises as `ICreates.create`."""
        size = await staged.size()
        if not await self._conditions.are_kept(in_parts=size > self._size_of_parts(size)):
            raise CannotCreate("the server has no conditional writes")
        for attempt in range(ATTEMPTS):
            if attempt:
                await pause(self._bucket().clock, attempt - 1)
            with suppress(Conflict):
                # Amazon wants all parts once more, too.
                async with aclosing(staged.read()) as chunks:
                    return await self.write(name, media_type, chunks, size, IF_NEW)
        raise Conflict("the asset was changed by somebody else at the same time")

    async def write(
        self,
        name: str,
        media_type: str,
        chunks: AsyncIterator[bytes],
        size: int | None,
        condition: Condition = NO_CONDITION,
    ) -> AssetStat:
        """Write an object. Raises as `IAssetStore.write`; `AssetExists` or `Conflict` where the server refuses."""
        headers, part_size = {"Content-Type": media_type}, self._size_of_parts(size or 0)
        places = self._small if size is not None and size <= part_size else self._large
        async with places, aclosing(in_parts(chunks, part_size)) as parts:
            uploaded = await self._send(name, headers, part_size, parts, size, condition)
        self._multipart.records.sweep_if_due()
        try:
            stat = await self._look(name)
            if uploaded.may_be(stat):
                return stat
            seen = "another version is there"
        except AssetError as error:
            seen = str(error)
        self._log.warn("{name} was written, and not seen afterwards: {seen}", name=name, seen=seen)
        if not uploaded.etag:
            # Nothing has shown that the server took it: a proxy may have answered.
            raise StoreFailed("the store does not show what it was given")
        # Another client has replaced or deleted it by now.
        return AssetStat(uploaded.size, uploaded.at, uploaded.etag or uploaded.md5)

    def _size_of_parts(self, size: int) -> int:
        return max(self._part_size, -(-size // MOST_PARTS))

    async def _send(
        self,
        name: str,
        headers: dict[str, str],
        part_size: int,
        parts: AsyncGenerator[Part, None],
        size: int | None,
        condition: Condition,
    ) -> Uploaded:
        begun, lock = [await anext(parts)], self._locks.exclusive(name)
        if not begun[0].last:
            return await self._multipart.send(name, headers, part_size, preceded(begun, parts), size, lock, condition)
        payload = await Payload.of(begun[0].content)
        if size not in (None, len(payload.content)):
            raise StoreFailed("the upload is not as long as was said")
        async with lock:
            return await self._put(name, headers, payload, condition)

    async def _put(self, name: str, headers: dict[str, str], payload: Payload, condition: Condition) -> Uploaded:
        if self._checksums:
            headers = headers | payload.checksum_header()
        if condition:
            headers = headers | {UPLOAD: uuid4().hex}
        md5 = payload.md5.hex()
        for _ in range(ATTEMPTS):
            answer = await self._put_once(name, {**headers, **condition}, payload)
            tag = etag_of(answer)
            if await self._multipart.tags.allow(TagKind.WHOLE, answer, tag, md5):
                return Uploaded(tag, md5, len(payload.content), self._bucket().clock.seconds())
            # What is there now is from here, and is to be replaced.
            condition = NO_CONDITION
        # It stays: what a comparison says may be wrong, and what was deleted is gone.
        self._log.error("{name} is damaged in the store: its ETag is {tag}, not {md5}", name=name, tag=tag, md5=md5)
        raise StoreFailed("the upload arrived damaged in the store")

    async def _put_once(self, name: str, headers: dict[str, str], payload: Payload) -> Answer:
        try:
            return await self._bucket().call("PUT", name, headers=headers, payload=payload)
        except AssetExists:
            answer = await self._bucket().call("HEAD", name, accept=(200, 404))
            if answer.header(UPLOAD) != headers.get(UPLOAD, ""):
                raise
            # An earlier attempt was carried out, and only the answer was lost.
            return answer
