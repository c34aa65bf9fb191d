"""Reads of objects, whose bytes are checked, and which are resumed when the connection breaks."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing

from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.reader import HTTPReader
from was_daemon.stores.s3.bucket import ATTEMPTS, Bucket, pause
from was_daemon.stores.s3.checker import Checker
from was_daemon.stores.s3.tags import Tags


@implementer(IAssetReader)
class S3Reader:
    """Reader of one version of an object."""

    _log = Logger()

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        stat: AssetStat,
        checksums: bool,
        tags: Tags,
        look: Callable[[], Awaitable[AssetStat]],
        lock: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        """Make a reader of the version `stat` of the object `name`, whose requests are sent under its `lock`.

        `checksums` asks the server for the SHA-256 checksum that it may have. `look` fires with the current version.
        """
        self.stat = stat
        self._bucket = bucket
        self._name = name
        self._checksums = checksums
        self._tags = tags
        self._look = look
        self._lock = lock
        self._reading: set[HTTPReader] = set()
        self._closed = False

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`. The last bytes of a whole object are yielded after the check of all of them."""
        checker: Checker | None = None
        held = b""

        async def get(headers: dict[str, str]) -> Answer:
            nonlocal checker
            answer = await self._get(headers)
            if answer.code == 200 and "Range" not in headers:
                checker = Checker.of(answer)
            return answer

        reader = HTTPReader(get, self.stat, self._look)
        self._reading.add(reader)
        try:
            async with aclosing(self._resumed(reader, start, self.stat.size if stop is None else stop)) as chunks:
                async for chunk in chunks:
                    if checker:
                        await checker.take(chunk)
                    if held:
                        yield held
                    held = chunk
            if checker:
                await checker.verify(self._tags)
            if held:
                yield held
        finally:
            self._reading.discard(reader)
            await reader.close()

    async def _get(self, headers: dict[str, str]) -> Answer:
        asked = dict(headers)
        if self._checksums and "Range" not in headers:
            asked["x-amz-checksum-mode"] = "ENABLED"
        answer = await self._request(asked | {"If-Match": f'"{self.stat.etag}"'})
        if answer.code == 412 and await self._is_current():
            # To a GET the object has another ETag, so that the condition never holds.
            await answer.drain()
            answer = await self._request(asked)
        return answer

    async def _request(self, headers: dict[str, str]) -> Answer:
        async with self._lock(self._name):
            return await self._bucket.request("GET", self._name, headers=headers, accept=(200, 206, 404, 412, 416))

    async def _is_current(self) -> bool:
        try:
            return await self._look() == self.stat
        except AssetNotFound:
            return False

    async def _resumed(self, reader: HTTPReader, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` on; when the connection breaks half-way, request the rest."""
        position, failures = start, 0
        while True:
            begin = position
            try:
                async with aclosing(reader.read(position, stop)) as chunks:
                    async for chunk in chunks:
                        position += len(chunk)
                        yield chunk
                return
            except StoreUnavailable as error:
                failures = 1 if position > begin else failures + 1
                # Before the first byte the request was repeated already.
                if position == start or failures == ATTEMPTS:
                    raise
                self._log.info("{name} is read on from byte {at}: {error}", name=self._name, at=position, error=error)
            await pause(self._bucket.clock, failures - 1)
            if self._closed:
                raise StoreFailed("the read was given up")

    async def close(self) -> None:
        """See `IAssetReader`."""
        self._closed = True
        for reader in list(self._reading):
            await reader.close()
