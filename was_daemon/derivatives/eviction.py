"""Keeping derivatives of one kind within a size: the least recently used are removed first.

The files are the only record. Their sizes are added up once, after the start; a file's last use is its access time,
or a later one that this process remembers. No request waits for an eviction. Files among the derivatives that cannot be
recognised as such are not removed.
"""

import heapq
import os
import time
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.derivatives.marks import has_mark
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError, BadName
from was_daemon.model.interfaces import ILocalFiles
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.local.directories import Entry

_KEPT = 0.9
"""The share of the size that is left after an eviction, so that not every new derivative causes one."""

_MEASURED_AFTER = 0.1
"""The share of the size that may be added until the store is measured again: other daemons add to it, too."""

_MOST_CHOSEN = 20_000
"""The most derivatives that are chosen at once: the chosen ones are in memory, and a store may hold a million."""

_Name = tuple[str, str]
"""A derivative's collection and name."""

_Found = tuple[float, int, _Name]
"""A derivative's last use in Unix seconds, its size in bytes, and its name."""

_SLOTS = 1 << 16


class LastUses:
    """The times at which derivatives were used last, in a table of 512 KiB: the later of two that share a slot.

    One thread may note uses while others read: each slot is read and written at once.
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * _SLOTS))

    def note(self, name: str) -> None:
        """Note that a derivative is used now."""
        slot, fingerprint = _slot(name)
        self._table[slot] = fingerprint << 32 | int(time.time())

    def last(self, name: str) -> int:
        """Return the last use in Unix seconds, 0 when it is not remembered."""
        slot, fingerprint = _slot(name)
        found = self._table[slot]
        return found & 0xFFFFFFFF if found >> 32 == fingerprint else 0


def _slot(name: str) -> tuple[int, int]:
    """Return the slot of a name, and a fingerprint of 32 bits that tells it from other names in the same slot."""
    number = hash(name)
    return number % _SLOTS, number >> 16 & 0xFFFFFFFF


class Evictable(Protocol):
    """A kind of derivatives, as an `Evictor` recognises its files."""

    @property
    def kind(self) -> Kind:
        """The kind of asset as which stores keep them."""

    def entries(self, files: ILocalFiles, directory: str) -> "Iterator[os.DirEntry[str]]":
        """Yield the files of a collection that have the name of such a derivative; blocks, see `ILocalFiles.files`."""

    async def has_original(self, collections: Collections, derivative: AssetKey) -> bool:
        """Fire with whether an original is stored to which a derivative without a mark may belong."""


class Evictor:
    """Eviction of derivatives of one kind: in each local store of `collections` at most `max_size` bytes are kept.

    `collections` may be replaced by others with the same local stores.
    """

    _log = Logger()

    def __init__(self, collections: Collections, max_size: int, evictable: Evictable) -> None:
        self._evictable = evictable
        self.collections = collections
        self._max_size = max_size
        self._sizes = dict.fromkeys(collections.local_derivative_stores(), 0)
        self._added = dict.fromkeys(self._sizes, 0)
        self._uses = LastUses()
        self._at_work: set[ILocalFiles] = set()

    async def start(self) -> None:
        """Measure the derivatives in each store, and evict those that are too much."""
        for store in self._sizes:
            await self._keep_within(store)

    def used(self, derivative: AssetKey) -> None:
        """Note that a derivative was served."""
        self._uses.note(derivative.name)

    def added(self, store: ILocalFiles, size: int) -> None:
        """Note that a derivative of `size` bytes was stored; begin an eviction when the limit is passed."""
        self._sizes[store] += size
        self._added[store] += size
        must_evict = self._sizes[store] > self._max_size or self._added[store] > self._max_size * _MEASURED_AFTER
        if must_evict and store not in self._at_work:
            Deferred.fromCoroutine(self._keep_within(store))

    async def _keep_within(self, store: ILocalFiles) -> None:
        self._at_work.add(store)
        self._added[store] = 0
        try:
            self._sizes[store] = await self._evict(store)
        except AssetError as error:
            self._log.error("Could not evict {kind}: {error}", kind=self._evictable.kind.value, error=error)
        finally:
            self._at_work.discard(store)

    async def _evict(self, store: ILocalFiles) -> int:
        """Remove the least recently used derivatives of a store that has too many; fire with the bytes left."""
        unrecognised = set[_Name]()
        total = await store.in_thread(None, self._measure, store)
        if total <= self._max_size:
            return total
        enough = int(self._max_size * _KEPT)
        while total > enough:
            oldest = await store.in_thread(None, self._oldest, store, unrecognised, total - enough)
            if not oldest:
                # Others have evicted, too.
                break
            unrecognised |= await self._remove(store, [name for _, _, name in oldest])
            total -= sum(size for _, size, _ in oldest)
        return total

    def _measure(self, store: ILocalFiles) -> int:
        return sum(size for _, size, _ in self._stored(store, set()))

    def _oldest(self, store: ILocalFiles, unrecognised: Container[_Name], excess: int) -> list[_Found]:
        return _oldest(self._stored(store, unrecognised), excess)

    async def _remove(self, store: ILocalFiles, names: Sequence[_Name]) -> set[_Name]:
        """Remove files that carry a mark or have an original; fire with the names of the others, which stay."""
        keys = []
        for collection, name in names:
            with suppress(BadName):
                keys.append(AssetKey(collection, self._evictable.kind, name))
        unmarked = await store.in_thread(None, _remove_marked, store, keys)
        unrecognised = {key for key in unmarked if not await self._evictable.has_original(self.collections, key)}
        await store.in_thread(None, _remove_all, store, [key for key in unmarked if key not in unrecognised])
        return set(names) - {(key.collection, key.name) for key in keys if key not in unrecognised}

    def _stored(self, store: ILocalFiles, unrecognised: Container[_Name]) -> Iterator[_Found]:
        """Yield the last use in Unix seconds, the size in bytes and the name of every derivative; blocks.

        Files without the name of such a derivative, and those known to be `unrecognised`, are left out.
        """
        for directory in self.collections.directories(store):
            for entry in self._evictable.entries(store, directory):
                if (directory, entry.name) not in unrecognised:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        used = max(status.st_atime, self._uses.last(entry.name))
                        yield used, status.st_size, (directory, entry.name)


def _oldest(derivatives: Iterable[_Found], excess: int) -> list[_Found]:
    """Return the least recently used derivatives whose sizes add up to `excess`, or as many as are chosen at once."""
    newest_first: list[_Found] = []
    size = 0
    for used, bytes_, name in derivatives:
        heapq.heappush(newest_first, (-used, bytes_, name))
        size += bytes_
        while size - newest_first[0][1] >= excess or len(newest_first) > _MOST_CHOSEN:
            size -= heapq.heappop(newest_first)[1]
    return newest_first


def _remove_marked(store: ILocalFiles, derivatives: Iterable[AssetKey]) -> list[AssetKey]:
    """Remove the derivatives that carry a mark; return the others. Blocks."""
    unmarked = []
    for key in derivatives:
        with suppress(FileNotFoundError, NotADirectoryError), store.directory(key) as directory:
            entry = Entry(directory, key.name)
            if has_mark(entry):
                entry.unlink()
            else:
                unmarked.append(key)
    return unmarked


def _remove_all(store: ILocalFiles, derivatives: Iterable[AssetKey]) -> None:
    for key in derivatives:
        with suppress(FileNotFoundError, NotADirectoryError), store.directory(key) as directory:
            Entry(directory, key.name).unlink()
