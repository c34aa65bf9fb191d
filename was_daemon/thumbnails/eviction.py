"""Keeping thumbnails within a size: the least recently used go first.

The files are the only record. Their sizes are added up once, after the start; a file's last use is its access time,
or later, as far as this process remembers. Nothing of this happens while a request waits.
"""

import heapq
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.errors import AssetError
from was_daemon.interfaces import ILocalFiles
from was_daemon.keys import AssetKey, Kind

_KEPT = 0.9
"""The share of the size that is left after an eviction, so that not every new thumbnail causes one."""

_REMEMBERED_USES = 100_000


class Evictor:
    """Keeps the thumbnails in each of `stores` within `max_size` bytes."""

    _log = Logger()

    def __init__(self, stores: Iterable[ILocalFiles], max_size: int) -> None:
        self._max_size = max_size
        self._sizes = dict.fromkeys(stores, 0)
        self._uses: OrderedDict[str, float] = OrderedDict()
        self._tended: set[ILocalFiles] = set()

    def does_the_same_as(self, other: "Evictor") -> bool:
        """Whether both keep the same stores within the same size."""
        return self._max_size == other._max_size and self._sizes.keys() == other._sizes.keys()

    async def start(self) -> None:
        """Measure what there is, and evict what is too much."""
        for store in self._sizes:
            await self._tend(store)

    def used(self, thumbnail: AssetKey) -> None:
        """Note that a thumbnail was served."""
        self._uses[thumbnail.name] = time.time()
        self._uses.move_to_end(thumbnail.name)
        if len(self._uses) > _REMEMBERED_USES:
            self._uses.popitem(last=False)

    def added(self, store: ILocalFiles, size: int) -> None:
        """Note that a thumbnail of `size` bytes was stored; when it is one too many, others are evicted."""
        self._sizes[store] += size
        if self._sizes[store] > self._max_size and store not in self._tended:
            Deferred.fromCoroutine(self._tend(store))

    async def _tend(self, store: ILocalFiles) -> None:
        self._tended.add(store)
        try:
            self._sizes[store] = await store.in_thread(None, _evict, store, self._max_size, dict(self._uses))
        except AssetError as error:
            self._log.error("Could not evict thumbnails: {error}", error=error)
        finally:
            self._tended.discard(store)


def _evict(store: ILocalFiles, max_size: int, uses: dict[str, float]) -> int:
    """Remove the least recently used thumbnails of a store that has too many; returns the bytes left. Blocks."""
    total = sum(size for _, size, _ in _thumbnails(store, uses))
    if total <= max_size:
        return total
    excess = total - int(max_size * _KEPT)
    for _, size, path in _oldest(_thumbnails(store, uses), excess):
        path.unlink(missing_ok=True)
        total -= size
    return total


def _thumbnails(store: ILocalFiles, uses: dict[str, float]) -> Iterator[tuple[float, int, Path]]:
    """The last use in Unix seconds, size in bytes and path of every thumbnail."""
    for path in store.files(Kind.THUMBNAIL):
        with suppress(FileNotFoundError):
            status = path.stat()
            yield max(status.st_atime, uses.get(path.name, 0.0)), status.st_size, path


def _oldest(thumbnails: Iterable[tuple[float, int, Path]], excess: int) -> list[tuple[float, int, Path]]:
    """The least recently used of `thumbnails` whose sizes add up to `excess`; holds no more than these in memory."""
    newest_first: list[tuple[float, int, Path]] = []
    size = 0
    for used, bytes_, path in thumbnails:
        heapq.heappush(newest_first, (-used, bytes_, path))
        size += bytes_
        while size - newest_first[0][1] >= excess:
            size -= heapq.heappop(newest_first)[1]
    return newest_first
