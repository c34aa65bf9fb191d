"""Keeping thumbnails within a size: the least recently used go first.

The files are the only record. Their sizes are added up once, after the start; a file's last use is its access time,
or later, as far as this process remembers. Nothing of this happens while a request waits.
"""

import heapq
import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.errors import AssetError
from was_daemon.interfaces import ILocalFiles
from was_daemon.keys import AssetKey, Kind

_KEPT = 0.9
"""The share of the size that is left after an eviction, so that not every new thumbnail causes one."""

_LOOKED_AT_AFTER = 0.1
"""The share of the size after which what there is is measured again: other daemons add to it, too."""

_AT_ONCE = 20_000
"""How many are chosen in one go: what is known of them is in memory, and there may be a million to choose from."""

_REMEMBERED_USES = 100_000


class Evictor:
    """Keeps the thumbnails in each of `stores` within `max_size` bytes."""

    _log = Logger()

    def __init__(self, stores: Iterable[ILocalFiles], max_size: int) -> None:
        self._max_size = max_size
        self._sizes = dict.fromkeys(stores, 0)
        self._added = dict.fromkeys(self._sizes, 0)
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
        self._added[store] += size
        is_time = self._sizes[store] > self._max_size or self._added[store] > self._max_size * _LOOKED_AT_AFTER
        if is_time and store not in self._tended:
            Deferred.fromCoroutine(self._tend(store))

    async def _tend(self, store: ILocalFiles) -> None:
        self._tended.add(store)
        self._added[store] = 0
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
    enough = int(max_size * _KEPT)
    while total > enough:
        oldest = _oldest(_thumbnails(store, uses), total - enough)
        if not oldest:
            # Others have evicted, too.
            break
        for _, size, path in oldest:
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108  # a Path for each of a million takes as long as the rest
            total -= size
    return total


def _thumbnails(store: ILocalFiles, uses: dict[str, float]) -> Iterator[tuple[float, int, str]]:
    """The last use in Unix seconds, size in bytes and path of every thumbnail."""
    for path in store.files(Kind.THUMBNAIL):
        with suppress(FileNotFoundError):
            status = path.stat()
            yield max(status.st_atime, uses.get(path.name, 0.0)), status.st_size, str(path)


def _oldest(thumbnails: Iterable[tuple[float, int, str]], excess: int) -> list[tuple[float, int, str]]:
    """The least recently used of `thumbnails` whose sizes add up to `excess`, or as many as are chosen at once."""
    newest_first: list[tuple[float, int, str]] = []
    size = 0
    for used, bytes_, path in thumbnails:
        heapq.heappush(newest_first, (-used, bytes_, path))
        size += bytes_
        while size - newest_first[0][1] >= excess or len(newest_first) > _AT_ONCE:
            size -= heapq.heappop(newest_first)[1]
    return newest_first
