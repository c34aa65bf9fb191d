"""Keeping thumbnails within a size: the least recently used go first.

The files are the only record. Their sizes are added up once, after the start; a file's last use is its access time,
or later, as far as this process remembers. Nothing of this happens while a request waits. What lies among thumbnails
and cannot be told to be one stays.
"""

import heapq
import os
import time
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.derivatives.marks import MARK_SIZE, is_mark
from was_daemon.derivatives.owners import has_owner
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError, BadName
from was_daemon.model.interfaces import ILocalFiles
from was_daemon.model.keys import THUMBNAIL_NAME, AssetKey, Kind
from was_daemon.stores.local.directories import Entry

_KEPT = 0.9
"""The share of the size that is left after an eviction, so that not every new thumbnail causes one."""

_LOOKED_AT_AFTER = 0.1
"""The share of the size after which what there is is measured again: other daemons add to it, too."""

_AT_ONCE = 20_000
"""How many are chosen in one go: what is known of them is in memory, and there may be a million to choose from."""

_Name = tuple[str, str]
"""A thumbnail's collection and name."""

_Thumbnail = tuple[float, int, _Name]
"""Its last use in Unix seconds, its size in bytes, and its name."""


_PLACES = 1 << 16


class Uses:
    """When thumbnails were used last, in a table of 512 KiB: of two whose names share a place, the later."""

    def __init__(self, table: "array[int] | None" = None) -> None:
        self._table = table or array("Q", bytes(8 * _PLACES))

    def note(self, name: str) -> None:
        """Note that a thumbnail is used now."""
        place, mark = _place(name)
        self._table[place] = mark << 32 | int(time.time())

    def last(self, name: str) -> int:
        """The last use in Unix seconds, 0 when it is not remembered."""
        place, mark = _place(name)
        found = self._table[place]
        return found & 0xFFFFFFFF if found >> 32 == mark else 0

    def copy(self) -> "Uses":
        """These uses, for another thread."""
        return Uses(self._table[:])


def _place(name: str) -> tuple[int, int]:
    """The place of a name, and 32 bits that tell it from others there."""
    number = hash(name)
    return number % _PLACES, number >> 16 & 0xFFFFFFFF


class Evictor:
    """Keeps the thumbnails in each store of `collections` on this machine within `max_size` bytes."""

    _log = Logger()

    def __init__(self, collections: Collections, max_size: int) -> None:
        self._collections = collections
        self._max_size = max_size
        self._sizes = dict.fromkeys(collections.local_thumbnails(), 0)
        self._added = dict.fromkeys(self._sizes, 0)
        self._uses = Uses()
        self._tended: set[ILocalFiles] = set()

    def follow(self, collections: Collections, max_size: int) -> bool:
        """Go on with other collections in the same stores, if the size is the same; return whether that is so."""
        fits = max_size == self._max_size and set(collections.local_thumbnails()) == self._sizes.keys()
        if fits:
            self._collections = collections
        return fits

    async def start(self) -> None:
        """Measure what there is, and evict what is too much."""
        for store in self._sizes:
            await self._tend(store)

    def used(self, thumbnail: AssetKey) -> None:
        """Note that a thumbnail was served."""
        self._uses.note(thumbnail.name)

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
            self._sizes[store] = await self._evict(store)
        except AssetError as error:
            self._log.error("Could not evict thumbnails: {error}", error=error)
        finally:
            self._tended.discard(store)

    async def _evict(self, store: ILocalFiles) -> int:
        """Remove the least recently used thumbnails of a store that has too many; fire with the bytes left."""
        uses, foreign = self._uses.copy(), set[_Name]()
        total = await store.in_thread(None, self._measure, store)
        if total <= self._max_size:
            return total
        enough = int(self._max_size * _KEPT)
        while total > enough:
            oldest = await store.in_thread(None, self._oldest, store, uses, foreign, total - enough)
            if not oldest:
                # Others have evicted, too.
                break
            foreign |= await self._remove(store, [name for _, _, name in oldest])
            total -= sum(size for _, size, _ in oldest)
        return total

    def _measure(self, store: ILocalFiles) -> int:
        return sum(size for _, size, _ in self._thumbnails(store, Uses(), set()))

    def _oldest(self, store: ILocalFiles, uses: Uses, foreign: Container[_Name], excess: int) -> list[_Thumbnail]:
        return _oldest(self._thumbnails(store, uses, foreign), excess)

    async def _remove(self, store: ILocalFiles, names: Sequence[_Name]) -> set[_Name]:
        """Remove those of the files that a mark, or their original, tells to be thumbnails; fire with the others."""
        keys = []
        for collection, name in names:
            with suppress(BadName):
                keys.append(AssetKey(collection, Kind.THUMBNAIL, name))
        unmarked = await store.in_thread(None, _remove_marked, store, keys)
        foreign = {key for key in unmarked if not await has_owner(self._collections, key)}
        await store.in_thread(None, _remove_all, store, [key for key in unmarked if key not in foreign])
        return set(names) - {(key.collection, key.name) for key in keys if key not in foreign}

    def _thumbnails(self, store: ILocalFiles, uses: Uses, foreign: Container[_Name]) -> Iterator[_Thumbnail]:
        """Yield the last use in Unix seconds, the size in bytes and the name of every thumbnail; blocks.

        Files that are not called like a thumbnail, and those known to be `foreign`, are left out.
        """
        for directory in self._collections.directories(store):
            for entry in store.files(directory, Kind.THUMBNAIL):
                if THUMBNAIL_NAME.fullmatch(entry.name) and (directory, entry.name) not in foreign:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        used = max(status.st_atime, uses.last(entry.name))
                        yield used, status.st_size, (directory, entry.name)


def _oldest(thumbnails: Iterable[_Thumbnail], excess: int) -> list[_Thumbnail]:
    """The least recently used of `thumbnails` whose sizes add up to `excess`, or as many as are chosen at once."""
    newest_first: list[_Thumbnail] = []
    size = 0
    for used, bytes_, name in thumbnails:
        heapq.heappush(newest_first, (-used, bytes_, name))
        size += bytes_
        while size - newest_first[0][1] >= excess or len(newest_first) > _AT_ONCE:
            size -= heapq.heappop(newest_first)[1]
    return newest_first


def _remove_marked(store: ILocalFiles, thumbnails: Iterable[AssetKey]) -> list[AssetKey]:
    """Remove those of `thumbnails` that carry a mark; return the others. Blocks."""
    unmarked = []
    for key in thumbnails:
        with suppress(FileNotFoundError, NotADirectoryError), store.directory(key) as directory:
            entry = Entry(directory, key.name)
            if _is_marked(entry):
                entry.unlink()
            else:
                unmarked.append(key)
    return unmarked


def _is_marked(entry: Entry) -> bool:
    fd = entry.open(os.O_RDONLY)
    try:
        return is_mark(os.pread(fd, MARK_SIZE, max(0, os.fstat(fd).st_size - MARK_SIZE)))
    finally:
        os.close(fd)


def _remove_all(store: ILocalFiles, thumbnails: Iterable[AssetKey]) -> None:
    for key in thumbnails:
        with suppress(FileNotFoundError, NotADirectoryError), store.directory(key) as directory:
            Entry(directory, key.name).unlink()
