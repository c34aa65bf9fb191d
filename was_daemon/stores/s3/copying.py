"""Copies of objects, made by the server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

import attrs

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import AssetExists, AssetNotFound, CannotMove, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.s3.bucket import Bucket
from was_daemon.stores.s3.errors import Denied

_LARGEST = 5 << 30
"""Bytes that one request can copy (Amazon S3, CopyObject)."""


@attrs.frozen
class ServerCopies:
    """Copies within the bucket called `name`, under the `locks` of the objects' names.

    `look` fires with the version of an object, and raises `AssetNotFound`; `checksums` has the server make and keep
    SHA-256 checksums of the copies, whatever the objects were uploaded with.
    """

    bucket: Callable[[], Bucket]
    name: str
    locks: KeyLocks[str]
    look: Callable[[str], Awaitable[AssetStat]]
    checksums: bool

    async def move(self, source: str, target: str, replace: bool) -> None:
        """Copy an object and delete it. Raises as `IMoves.move`."""
        async with self._both(source, target):
            if not replace and await self._is_there(target):
                raise AssetExists("an asset of this name exists")
            version = await self._copy(source, target)
            if await self.look(source) != version:
                raise StoreUnavailable("the asset was replaced by somebody else at the same time")
            await self._delete(source)

    async def copy(self, source: str, target: str) -> None:
        """Copy an object. Raises as `IMoves.copy`."""
        async with self._both(source, target):
            await self._copy(source, target)

    async def _copy(self, source: str, target: str) -> AssetStat:
        """Have the server copy an object; fire with the version that was copied."""
        version = await self.look(source)
        if version.size > _LARGEST:
            raise CannotMove("the server copies no object that is so large")
        headers = {"x-amz-copy-source": quote(f"/{self.name}/{source}", safe="/~")}
        if self.checksums:
            headers["x-amz-checksum-algorithm"] = "SHA256"
        try:
            answer = await self.bucket().call("PUT", target, headers=headers, accept=(200, 404))
        except (StoreFailed, Denied) as error:
            raise CannotMove("the server did not copy the object", error.reason) from error
        if answer.code == 404:
            await self.look(source)
            # It is there, so the server reads its name in another way than it was written (s3rver: a percent sign).
            raise CannotMove("the server does not find the object that it should copy")
        if (await self.look(target)).size != version.size:
            # A server that does not know the header has stored an empty object.
            await self._delete(target)
            raise CannotMove("the server did not copy the object")
        return version

    async def _delete(self, name: str) -> None:
        await self.bucket().call("DELETE", name, accept=(200, 204, 404))

    async def _is_there(self, name: str) -> bool:
        try:
            await self.look(name)
        except AssetNotFound:
            return False
        return True

    @asynccontextmanager
    async def _both(self, source: str, target: str) -> AsyncIterator[None]:
        first, second = sorted((source, target))
        async with self.locks.exclusive(first), self.locks.exclusive(second):
            yield
