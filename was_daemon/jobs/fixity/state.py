"""What is known of the fixity of all originals: how many are at fault, and how far the checks have come."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.catalogue.fixity import Fault, FixityRecords, Progress
from was_daemon.concurrency.waiting import shield
from was_daemon.model.durations import counted, exactly, in_words
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.model.sizes import readable
from was_daemon.telemetry.metrics import Metrics

_PATIENCE_SECONDS = 2.0
"""Seconds to wait for the database, fewer than health checks wait: they would take its silence for a fault."""

_FRESH_SECONDS = 600.0
"""Seconds after which all originals are counted again."""


class FaultyOriginals(AssetError):
    """Originals that are not as recorded."""


@attrs.frozen
class Plan:
    """How often originals are to be read, in seconds, and at how many bytes a second at most."""

    every: float
    rate: int

    def before(self, now: float) -> float:
        """Return the time before which an original that is due was known to be as recorded."""
        return now - self.every

    def describe(self, progress: Progress) -> str:
        """Return how far the checks have come."""
        known = f"{counted(progress.originals, 'original')}, {readable(progress.size)}"
        if not progress.due:
            # Whatever was found: faults are told beside this.
            return f"all of {known}, have been read in time: every {exactly(self.every)}"
        left = f"{progress.due} of {known}, are to be read ({readable(progress.due_size)})"
        return f"{left}, which takes {in_words(progress.due_size / self.rate)} at rate = {readable(self.rate)}/s"

    def shortage(self, progress: Progress) -> str | None:
        """Return a warning if so much cannot be read at this rate in time, None if it can."""
        needed = progress.size / self.rate
        if needed <= self.every:
            return None
        return (
            f"To read {readable(progress.size)} at [fixity] rate = {readable(self.rate)}/s takes {in_words(needed)}, "
            f"longer than every = {exactly(self.every)}: raise one of them"
        )


def describe_faults(counts: Mapping[Fault, int]) -> str | None:
    """Return how many originals are at fault, in words for an operator; None if none is."""
    number = sum(counts.values())
    if not number:
        return None
    kinds = ", ".join(f"{counts[fault]} {fault}" for fault in Fault if counts.get(fault))
    return f"{counted(number, 'original')} not as recorded ({kinds}); was-daemon fixity report lists them"


class FixityState:
    """State of the originals in `stores`, for health checks and metrics; `plan` is None when nothing is read again.

    `doubts` are sentences on collections of which every original seems to be lost, by store and directory; `progress`
    is what was counted last, None before.
    """

    _log = Logger()

    def __init__(self, records: FixityRecords, stores: Sequence[str], plan: Plan | None, metrics: Metrics) -> None:
        from twisted.internet import reactor

        self.doubts: dict[tuple[str, str], str] = {}
        self._clock = IReactorTime(reactor)
        self._records = records
        self._stores = stores
        self._plan = plan
        self._metrics = metrics
        self._counts: Mapping[Fault, int] = {}
        self.progress: Progress | None = None
        self._shortage: str | None = None
        self._fresh_until = 0.0

    async def check(self) -> None:
        """Raise `FaultyOriginals` if originals are not as recorded."""
        # While the database is down or hangs, which another check tells, what was wrong is wrong still.
        with suppress(StoreUnavailable, DeferredTimeout):
            counting = shield(Deferred.fromCoroutine(self._records.counts(self._stores)))
            self._counts = await counting.addTimeout(_PATIENCE_SECONDS, self._clock)
        for fault in Fault:
            self._metrics.fixity_faults.labels(fault.value).set(self._counts.get(fault, 0))
        problems = [*filter(None, [describe_faults(self._counts)]), *self.doubts.values()]
        if problems:
            raise FaultyOriginals("; ".join(problems))

    def warnings(self) -> Sequence[str]:
        """Return what is no problem yet, a sentence each."""
        return [self._shortage] if self._shortage else []

    async def refresh(self) -> None:
        """Count the originals that are due, if that was some time ago, for the metrics and warnings."""
        now = time.time()
        if not self._plan or now < self._fresh_until:
            return
        progress = await self._records.progress(self._stores, self._plan.before(now))
        self._fresh_until = now + _FRESH_SECONDS
        self.progress = progress
        metrics = self._metrics
        metrics.fixity_originals.labels("all").set(progress.originals)
        metrics.fixity_originals.labels("due").set(progress.due)
        metrics.fixity_due_bytes.set(progress.due_size)
        metrics.fixity_end_seconds.set(progress.due_size / self._plan.rate)
        metrics.fixity_every_seconds.set(self._plan.every)
        metrics.fixity_oldest_seconds.set(0 if progress.oldest is None else now - progress.oldest)
        shortage = self._plan.shortage(progress)
        if shortage and not self._shortage:
            self._log.warn("{shortage}", shortage=shortage)
        self._shortage = shortage
