"""Threads for the disk work of a store, of which each collection has its own."""

from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.keys import AssetKey

_MOST_COLLECTIONS = 64
"""Number of collections that have threads of their own at a time; more share the store's."""


class CollectionThreads:
    """Disk threads by collection: a collection may be a link to another disk, which may hang.

    Threads are kept as long as they have something to do.
    """

    def __init__(self, name: str) -> None:
        """Make the threads of the store whose threads the log calls `name`."""
        self._name = name
        self._threads: WeakValueDictionary[str, DiskThreads] = WeakValueDictionary()

    def of_key(self, key: AssetKey | None) -> DiskThreads:
        """Return the threads of the collection of `key`, or of the store itself when it is None."""
        return self.of_collection(key.collection if key else "")

    def of_collection(self, collection: str) -> DiskThreads:
        """Return the threads of a collection; "" has those of the store itself."""
        threads = self._threads.get(collection)
        if threads is None:
            # With collections = "auto" clients may make up any number of names.
            name = collection if len(self._threads) < _MOST_COLLECTIONS else ""
            threads = self._threads.get(name) or DiskThreads(f"{self._name}/{name}" if name else self._name)
            self._threads[name] = threads
        return threads

    async def close(self) -> None:
        """Close all threads; see `DiskThreads.close`."""
        for closing in [Deferred.fromCoroutine(threads.close()) for threads in self._threads.values()]:
            await closing
