"""Versions of files, and readers of files that the server may write over while they are read."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import attrs

from was_daemon.model.errors import AssetNotFound, StoreFailed, VersionGone
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.http.answer import Answer, http_time
from was_daemon.stores.http.reader import HTTPReader, version

_REMEMBERED = 10_000
"""Number of versions whose time is remembered."""


def stat_of(answer: Answer, size: int) -> AssetStat:
    """Return the version in the headers of an answer."""
    try:
        return version(size, answer.header("ETag"), http_time(answer.header("Last-Modified")))
    except StoreFailed:
        # The California Academy's server tells neither of what it has in S3, and replaces no file.
        return AssetStat(size, 0.0, f"{size:x}")


class VersionTimes:
    """Times of versions as they were told first.

    A daemon like this one tells a `Last-Modified` that is earlier than the second of a change while that second lasts,
    and later than it afterwards.
    """

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def settled(self, stat: AssetStat) -> AssetStat:
        """Return `stat` with the time that was told first."""
        if len(self._times) >= _REMEMBERED and stat.etag not in self._times:
            del self._times[next(iter(self._times))]
        return attrs.evolve(stat, modified=self._times.setdefault(stat.etag, stat.modified))


class ConfirmedReader(HTTPReader):
    """Reader that yields the last bytes only if the file is still the same.

    The official server writes a new version over the old one.
    """

    def __init__(
        self,
        get: Callable[[dict[str, str]], Awaitable[Answer]],
        stat: AssetStat,
        look: Callable[[], Awaitable[AssetStat]],
    ) -> None:
        super().__init__(get, stat)
        self._look_again = look
        self._deletions = 0

    def note_deletion(self, stat: AssetStat) -> None:
        """Note that the asset was deleted, and had the version `stat` until then: what is under way goes on."""
        if self._is_this(stat):
            self._deletions += 1

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        last, deletions = b"", self._deletions
        async with aclosing(super().read(start, stop)) as chunks:
            async for chunk in chunks:
                if last:
                    yield last
                last = chunk
        if last:
            await self._confirm(deletions)
            yield last

    async def _is_of_this_version(self, answer: Answer, size: int) -> bool:
        return self._is_this(stat_of(answer, size))

    async def _confirm(self, deletions: int) -> None:
        """Raise `VersionGone` if the asset was changed, other than by a deletion after the first `deletions`."""
        try:
            if self._is_this(await self._look_again()):
                return
        except AssetNotFound:
            pass
        if self._deletions == deletions:
            raise VersionGone("the asset was replaced or deleted while it was read")

    def _is_this(self, other: AssetStat) -> bool:
        return (other.size, other.etag) == (self.stat.size, self.stat.etag)
