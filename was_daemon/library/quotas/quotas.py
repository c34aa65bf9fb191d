"""The quotas of collections: reservations for uploads, and the record of what changes of originals add and remove."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from math import nan
from uuid import uuid4

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.library.changes import Change
from was_daemon.library.quotas.counting import Counting
from was_daemon.library.quotas.quota import Quota, Usage, collection_id
from was_daemon.library.quotas.record import refusal
from was_daemon.library.quotas.record_file import RecordFile
from was_daemon.library.spool import Spool
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.model.lookup import find_replaced
from was_daemon.model.trash import TrashedVersion
from was_daemon.telemetry.metrics import Metrics

_CLAIM_SECONDS = 0.02
"""Seconds between two attempts to claim an original that another process is changing."""

_log = Logger()


class Reservation:
    """Bytes of a quota that are reserved for an upload until `release`."""

    def __init__(self, record: RecordFile, quota: Quota, replaced: int) -> None:
        self.upload = uuid4().hex
        self._record = record
        self._quota = quota
        self._replaced = replaced
        self._reserved = -1

    async def cover(self, size: int) -> None:
        """Reserve room for `size` bytes of upload in all; raises `QuotaExceeded`."""
        needed = max(0, size - self._replaced)
        if needed > self._reserved:
            run, steps = self._record.run, self._record.steps
            if not await run(steps.reserve, self.upload, self._quota.collection_id, self._quota.size, needed):
                raise refusal(self._quota.size, self._quota.collection_id)
            self._reserved = needed

    def release(self) -> None:
        """End the reservation: the upload is stored, or came to nothing; a second call does nothing."""
        release = self._record.run(self._record.steps.release, self.upload)
        Deferred.fromCoroutine(release).addErrback(
            lambda failure: _log.warn("The reservation of an upload stays: {error}", error=failure.value)
        )


@attrs.frozen
class _Growth:
    """Bytes by which a collection grows, and bytes in it that are moved to the trash or back."""

    bytes: int
    moved: int = 0


class Quotas:
    """The quotas of the configuration that `configure` was called with last."""

    def __init__(self, metrics: Metrics) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._metrics = metrics
        self._records: list[RecordFile] = []
        self._counting: Counting | None = None
        self._interval: float | None = None
        self._since = 0.0
        self._quotas: Mapping[str, Quota] = {}
        self._by_id: Mapping[str, Quota] = {}
        self._counts_trash = False
        self.problem: str | None = None
        """What kept the record from being used when it was last read."""

    def configure(
        self,
        quotas: Mapping[str, Quota],
        interval: float | None,
        spool: Spool,
        counts_trash: bool = False,
    ) -> None:
        """Enforce these quotas from now on, by the collections' names, and count originals every `interval` seconds.

        The record lies in `spool`, for all daemons of the machine with the same one. Without an interval the count is
        left to them. With `counts_trash` what is in the trash counts, too.
        """
        self.stop()
        if (interval, counts_trash) != (self._interval, self._counts_trash):
            self._interval, self._since = interval, time.monotonic()
        self._counts_trash = counts_trash
        self._quotas = quotas
        self._by_id = {quota.collection_id: quota for quota in quotas.values()}
        self._metrics.collection_used.clear()
        self._metrics.collection_quota.clear()
        for name, quota in quotas.items():
            self._metrics.collection_used.labels(name).set(nan)
            self._metrics.collection_quota.labels(name).set(quota.size)
        if quotas:
            # Requests that began before go on with the record that they began with.
            if not self._records or self._record.spool is not spool:
                self._records.append(RecordFile(spool))
            if interval is not None:
                self._counting = Counting(self._record, self._by_id, interval, self._since, counts_trash)

    @property
    def _record(self) -> RecordFile:
        return self._records[-1]

    async def usages(self) -> dict[str, Usage]:
        """Fire with what each collection with a quota has, by name, and have the metrics show it."""
        used: dict[str, int | None] = {}
        problem = None
        if self._quotas:
            try:
                used = await self._record.run(self._record.steps.used)
            except StoreUnavailable as error:
                problem = str(error)
                _log.error("{error}", error=error)
        self.problem = problem
        found = {name: Usage(used.get(quota.collection_id), quota.size) for name, quota in self._quotas.items()}
        for name, usage in found.items():
            self._metrics.collection_used.labels(name).set(nan if usage.used is None else usage.used)
        return found

    async def reserve(
        self, store: IAssetStore, key: AssetKey, size: int, keeps_previous: bool = False
    ) -> Reservation | None:
        """Reserve room for an upload of at least `size` bytes; None without a quota. Raises `QuotaExceeded`.

        With `keeps_previous` the version that it replaces comes into the trash.
        """
        quota = self._of(store, key)
        if quota is None:
            return None
        replaced = None if keeps_previous and self._counts_trash else await find_replaced(store, key)
        reservation = Reservation(self._record, quota, replaced.size if replaced else 0)
        try:
            await reservation.cover(size)
        except BaseException:
            # A caller that was cancelled may have got it.
            reservation.release()
            raise
        return reservation

    @asynccontextmanager
    async def changing(self, change: Change, reservation: Reservation | None = None) -> AsyncIterator[None]:
        """Record a change of an original, which uses up `reservation`; raises `QuotaExceeded` before it."""
        is_addition = change.staged is not None or change.restored is not None
        upload = reservation.upload if reservation else ""

        async def growth() -> _Growth:
            return await self._growth(change)

        async with self._recording(change.place.store, change.key, growth, is_addition, upload):
            yield

    @asynccontextmanager
    async def emptying(self, store: IAssetStore, trashed: TrashedVersion) -> AsyncIterator[None]:
        """Record the removal of a version from the trash."""
        if not self._counts_trash:
            yield
            return

        async def growth() -> _Growth:
            return _Growth(-trashed.id.size)

        async with self._recording(store, trashed.file, growth, is_addition=False):
            yield

    async def _growth(self, change: Change) -> "_Growth":
        """Fire with the growth of the collection by a change."""
        previous, size = await change.previous(), await change.size()
        replaced = previous.size if previous else 0
        if not self._counts_trash:
            return _Growth(size - replaced)
        kept = replaced if change.keeps_previous else 0
        brought_back = size if change.restored else 0
        return _Growth(size - replaced + kept - brought_back, kept + brought_back)

    @asynccontextmanager
    async def _recording(
        self,
        store: IAssetStore,
        key: AssetKey,
        growth: "Callable[[], Awaitable[_Growth]]",
        is_addition: bool,
        upload: str = "",
    ) -> AsyncIterator[None]:
        """Record a change of an asset, by which the collection has the `growth`; raises `QuotaExceeded` before it.

        The reservation of `upload` ends. An addition that cannot be recorded is refused.
        """
        quota = self._of(store, key)
        if quota is None:
            yield
            return
        record, moved, happened = self._record, 0, False
        run, steps, collection_id = record.run, record.steps, quota.collection_id
        try:
            try:
                while not await run(steps.claim, collection_id, key.name):
                    await deferLater(self._clock, _CLAIM_SECONDS)
                # Only now, so that it is this version that is replaced.
                found = await growth()
                moved = found.moved
                await run(steps.begin, collection_id, key.name, quota.size, found.bytes, upload)
            except StoreUnavailable as error:
                if is_addition:
                    raise
                # On a full disk a deletion is what helps. The next count finds what is gone.
                _log.error("{error}", error=error)
            yield
            happened = True
        finally:
            try:
                await run(steps.end, collection_id, key.name, happened, moved)
            except StoreUnavailable as error:
                # The next change of this original has the collection counted.
                _log.error("{error}", error=error)

    def _of(self, store: IAssetStore, key: AssetKey) -> Quota | None:
        return self._by_id.get(collection_id(store, key.collection)) if self._by_id else None

    def stop(self) -> None:
        """Count no more."""
        if self._counting:
            self._counting.stop()
            self._counting = None

    async def close(self) -> None:
        """Leave the record to other processes."""
        self.stop()
        for record in self._records:
            await record.close()
