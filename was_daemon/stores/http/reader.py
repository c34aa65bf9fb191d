"""Assets that are read with GET: versions, and ranges, also from servers that do not support ranges."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from zope.interface import implementer

from was_daemon.model.errors import StoreFailed, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetReader
from was_daemon.stores.http.answer import Answer, http_time


def asset_stat(answer: Answer, size: int) -> AssetStat:
    """Return the version in a response's headers. Raises `StoreFailed` when they do not tell versions apart."""
    modified = http_time(answer.header("Last-Modified")) or 0.0
    # Apache's tag is weak for a second after every change, and is the same otherwise.
    tag = (answer.header("ETag") or "").removeprefix("W/").strip('"')
    if not tag and not modified:
        raise StoreFailed("the store does not tell versions of a file apart")
    return AssetStat(size, modified, tag or f"{int(modified):x}-{size:x}")


@implementer(IAssetReader)
class HTTPReader:
    """Reader of one version of the asset at a URL. Every response is compared with the version that was opened."""

    def __init__(self, get: Callable[[dict[str, str]], Awaitable[Answer]], stat: AssetStat) -> None:
        """Make a reader of the version `stat`; `get` sends a GET request with the headers in its argument."""
        self.stat = stat
        self._get = get
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
            skip = start - self._offset(answer)
            async with aclosing(_cut(answer, skip, stop - start)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._answers.discard(answer)
            answer.close()

    def _offset(self, answer: Answer) -> int:
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
        if asset_stat(answer, self.stat.size if size is None else size) != self.stat:
            raise VersionGone("the asset was replaced or deleted while it was read")
        return offset

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
