"""Assets that are read with GET: versions, and ranges, also from servers that do not support ranges."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from zope.interface import implementer

from was_daemon.model.errors import AssetNotFound, StoreFailed, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.http.answer import Answer, http_time


def asset_stat(answer: Answer, size: int) -> AssetStat:
    """Return the version in a response's headers. Raises `StoreFailed` when they do not tell versions apart."""
    return version(size, answer.header("ETag"), http_time(answer.header("Last-Modified")))


def version(size: int, etag: str | None, modified: float | None) -> AssetStat:
    """Return the version with an ETag as HTTP writes it, and a time. Raises `StoreFailed` when there is neither."""
    # Apache's tag is weak for a second after every change, and is the same otherwise.
    tag = (etag or "").strip().removeprefix("W/").strip('"')
    if not tag and not modified:
        raise StoreFailed("the store does not tell versions of a file apart")
    return AssetStat(size, modified or 0.0, tag or f"{int(modified or 0):x}-{size:x}")


@implementer(IAssetReader)
class HTTPReader:
    """Reader of one version of the asset at a URL. Every response is compared with the version that was opened."""

    def __init__(
        self,
        get: Callable[[dict[str, str]], Awaitable[Answer]],
        stat: AssetStat,
        look: Callable[[], Awaitable[AssetStat]] | None = None,
    ) -> None:
        """Make a reader of the version `stat`; `get` sends a GET request with the headers in its argument.

        `look` fires with the current version, found as `stat` was. It allows for a server that tells one version
        differently in its answers to GET.
        """
        self.stat = stat
        self._get = get
        self._look = look
        self._also: AssetStat | None = None
        """The same version in the answers to GET, if it is another there."""
        self._answers: set[Answer] = set()

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        stop = self.stat.size if stop is None else min(stop, self.stat.size)
        if start >= stop:
            return
        whole = (start, stop) == (0, self.stat.size)
        headers = {} if whole else {"Range": f"bytes={start}-{stop - 1}"}
        answer = await self._get(headers)
        self._answers.add(answer)
        try:
            skip = start - await self._offset(answer)
            async with aclosing(_cut(answer, skip, stop - start)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._answers.discard(answer)
            answer.close()

    async def _offset(self, answer: Answer) -> int:
        """Return the offset in the asset of the body's first byte. Raises `VersionGone` for another version."""
        if answer.code in (404, 410, 412, 416):
            raise VersionGone("the asset was replaced or deleted while it was read")
        answer.expect(200, 206)
        offset, size = 0, answer.length
        if answer.code == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.header("Content-Range") or "")
            if not found:
                raise StoreFailed("the store sent other bytes than it was asked for")
            offset, size = int(found[1]), None if found[2] == "*" else int(found[2])
        if not await self._is_of_this_version(answer, self.stat.size if size is None else size):
            raise VersionGone("the asset was replaced or deleted while it was read")
        return offset

    async def _is_of_this_version(self, answer: Answer, size: int) -> bool:
        try:
            told = asset_stat(answer, size)
        except StoreFailed:
            if self._look is None:
                raise
            told = None
        if told is not None and told in (self.stat, self._also):
            return True
        if self._look is None or self._also or size != self.stat.size:
            return False
        try:
            # If it was replaced before the answer came, the new version is the current one.
            if await self._look() != self.stat:
                return False
        except AssetNotFound:
            return False
        self._also = told
        return True

    async def close(self) -> None:
        """See `IAssetReader`."""
        while self._answers:
            self._answers.pop().close()


async def _cut(answer: Answer, skip: int, size: int) -> AsyncGenerator[bytes, None]:
    """Yield `size` bytes of the body after the first `skip`. Raises `StoreFailed` when there are fewer."""
    if skip < 0:
        raise StoreFailed("the store sent other bytes than it was asked for")
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            part = chunk[skip : skip + size]
            skip -= min(skip, len(chunk))
            size -= len(part)
            if part:
                yield part
            # A body that ends here anyway is read to its end, which keeps the connection.
            if not size and len(part) < len(chunk):
                return
    if size:
        raise StoreFailed("the store sent fewer bytes than it said")
