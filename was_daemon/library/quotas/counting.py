"""Periodic counts of the originals of collections with a quota, the first at the start.

Files are copied in by hand, and by daemons on other machines. Of several processes that share a record of quotas the
first one that looks counts. No request waits for a count.
"""

from collections.abc import Mapping
from contextlib import aclosing

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.library.quotas.quota import Quota
from was_daemon.library.quotas.record_file import RecordFile
from was_daemon.library.trash.contents import NO_TRASH, size_of_trash
from was_daemon.model.errors import AssetError, AssetNotFound, StoreUnavailable
from was_daemon.model.interfaces import ISizes
from was_daemon.model.keys import Kind

_COUNTED_AT_ONCE = 4
"""Number of collections that are counted at the same time."""

_TURN_SECONDS = 60.0
"""Seconds after which another count may begin: a store that hangs does not keep the others from being counted."""

_LOOK_SECONDS = 60.0
"""Seconds between two looks whether a count is due, at most: another process may have been killed."""

_STATS_AT_ONCE = 1000
"""Files after which other work has a turn, in stores that answer at once."""


class Counting:
    """Periodic count of the originals of collections, every `interval` seconds until `stop`.

    `quotas` are by the collections' identifiers. A count of before `since`, on the monotonic clock, is out of date.
    With `counts_trash`, what is in the trash counts, too.
    """

    _log = Logger()

    def __init__(
        self,
        record: RecordFile,
        quotas: Mapping[str, Quota],
        interval: float,
        since: float,
        counts_trash: bool = False,
    ) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._record = record
        self._interval = interval
        self._since = since
        self._counts_trash = counts_trash
        self._turns = DeferredSemaphore(_COUNTED_AT_ONCE)
        self._tasks = BackgroundTasks()
        for collection_id, quota in quotas.items():
            self._tasks.start(self._keep_counted(collection_id, quota))

    def stop(self) -> None:
        """Count no more."""
        self._tasks.cancel()

    async def _keep_counted(self, collection_id: str, quota: Quota) -> None:
        while True:
            await self._turns.acquire()
            turn = self._clock.callLater(_TURN_SECONDS, self._turns.release)
            try:
                await self._count_if_due(collection_id, quota)
            except StoreUnavailable as error:
                self._log.error("{error}", error=error)
            finally:
                if turn.active():
                    turn.cancel()
                    self._turns.release()
            await deferLater(self._clock, min(self._interval, _LOOK_SECONDS))

    async def _count_if_due(self, collection_id: str, quota: Quota) -> None:
        # A count is repeated at once if another process was killed in the middle of a change.
        while await self._record.run(self._record.steps.begin_count, collection_id, self._since):
            try:
                found = await self._count(quota)
            except CancelledError:
                Deferred.fromCoroutine(self._record.run(self._record.steps.drop_count, collection_id)).addErrback(
                    lambda _: None
                )
                raise
            await self._record.run(self._record.steps.end_count, collection_id, found, self._interval)

    async def _count(self, quota: Quota) -> int | None:
        """Fire with the bytes of a collection's originals, or None if they cannot be counted."""
        try:
            trashed = await size_of_trash(quota.store, quota.directory) if self._counts_trash else NO_TRASH
            return await _bytes_in(quota, self._clock) + trashed.bytes
        except CancelledError:
            raise
        except AssetError as error:
            self._log.error("The originals in {store} could not be counted: {error}", store=quota.store, error=error)
        except Exception:
            self._log.failure("The originals in {store} could not be counted", store=quota.store)
        return None


async def _bytes_in(quota: Quota, clock: IReactorTime) -> int:
    store, directory, total, number = quota.store, quota.directory, 0, 0
    if ISizes.providedBy(store):
        async with aclosing(ISizes(store).sizes(directory)) as sizes:
            async for size in sizes:
                total += size
        return total
    async with aclosing(store.list(directory, Kind.ORIGINAL)) as keys:
        async for key in keys:
            try:
                total += (await store.stat(key)).size
            except AssetNotFound:
                # It was removed meanwhile.
                continue
            number += 1
            if not number % _STATS_AT_ONCE:
                await deferLater(clock, 0)
    return total
