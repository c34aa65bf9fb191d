"""Checks of the originals that have waited longest: are they as recorded?"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.fixity import Fault, Outcome, Record
from was_daemon.jobs.examine import Finding, examine, record_as_it_is
from was_daemon.jobs.fixity.newcomers import tell_recorded
from was_daemon.jobs.fixity.state import FixityState, Plan
from was_daemon.jobs.traverse import is_empty
from was_daemon.model.digests import Pace
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import Kind, Layout
from was_daemon.telemetry.metrics import Metrics

_CONFIRM_SECONDS = 5.0
"""Seconds until an original at fault is looked at again: another daemon's change may be on its way to the catalogue."""

_BATCH_SECONDS = 60.0
"""Seconds of reading for which originals are taken at a time, so that other daemons take others."""

_NOTE_SECONDS = 5.0
"""Seconds after which is noted what was found, so that a kill costs little."""

_IDLE_SECONDS = 60.0
_DOWN_SECONDS = 300.0

_MOST_LINES = 10
"""Number of originals that the log names for each batch; `fixity report` has them all."""


class Checker:
    """Checks of the originals in `stores` that are due by `plan`; `pace` limits how fast they are read.

    A fault is told when it was seen twice, and its store can be used. It stays until the content is right again, or is
    recorded anew.
    """

    _log = Logger()

    def __init__(
        self,
        catalogue: Catalogue,
        stores: Mapping[str, IAssetStore],
        state: FixityState,
        plan: Plan,
        metrics: Metrics,
        pace: Pace,
    ) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._catalogue = catalogue
        self._records = catalogue.fixity
        self._stores = stores
        self._state = state
        self._plan = plan
        self._metrics = metrics
        self._pace = pace
        self._down_until: dict[str, float] = {}
        self._good_until: dict[tuple[str, str], float] = {}
        self._lines = 0

    async def check_some(self) -> float:
        """Check some originals; fire with the seconds to wait until the next are checked."""
        await self._state.refresh()
        await self._forget_doubts()
        now = time.time()
        usable = [name for name in self._stores if not self._is_down(name)]
        size = int(self._plan.rate * _BATCH_SECONDS)
        records = await self._records.take(usable, self._plan.before(now), now, size)
        if not records:
            return min(_IDLE_SECONDS, self._plan.every)
        suspects = await self._look_at(records)
        if suspects:
            await deferLater(self._clock, _CONFIRM_SECONDS)
            await self._confirm(suspects)
        return 0.0

    async def _look_at(self, records: Sequence[Record]) -> list[Record]:
        """Read originals, and note those that are as recorded; fire with the others."""
        suspects: list[Record] = []
        good: list[Outcome] = []
        noted = self._clock.seconds()
        for record in records:
            if self._is_down(record.store):
                continue
            finding = await self._examine(record)
            if finding and not finding.fault:
                good.append(self._well(finding))
            elif finding:
                suspects.append(record)
                if finding.fault is Fault.UNREADABLE:
                    # Before all others are tried in vain.
                    await self._is_usable(record.store)
            if self._clock.seconds() >= noted + _NOTE_SECONDS:
                await self._records.note(good)
                good, noted = [], self._clock.seconds()
        await self._records.note(good)
        return suspects

    async def _confirm(self, suspects: Sequence[Record]) -> None:
        """Look at originals again that seemed to be at fault, and note what is found."""
        self._lines = 0
        for record in suspects:
            if self._is_down(record.store):
                continue
            finding = await self._examine(record)
            if finding is None or (finding.fault and not await self._is_blamed(finding)):
                continue
            outcome = self._at_fault(finding, finding.fault) if finding.fault else self._well(finding)
            await self._records.note([outcome])
        if self._lines > _MOST_LINES:
            self._log.error("Fixity: {number} more are not as recorded", number=self._lines - _MOST_LINES)

    async def _examine(self, record: Record) -> Finding | None:
        """Do as `examine`; an original that nobody has read yet is recorded."""
        store = self._stores[record.store]
        if record.digest:
            return await examine(store, record, self._records, self._pace)
        try:
            await record_as_it_is(self._catalogue, record.store, store, record.key, self._pace, record.origin)
        except AssetNotFound:
            return Finding(record, Fault.MISSING)
        except AssetError as error:
            return Finding(record, Fault.UNREADABLE, str(error))
        self._metrics.fixity_checks.labels("recorded").inc()
        tell_recorded(1)
        return None

    def _well(self, finding: Finding) -> Outcome:
        self._metrics.fixity_checks.labels("ok").inc()
        if finding.record.fault:
            self._log.info("Fixity: {path} is as recorded again", path=Layout.FLAT.path(finding.record.key))
        return finding.outcome

    def _at_fault(self, finding: Finding, fault: Fault) -> Outcome:
        self._metrics.fixity_checks.labels(fault.value).inc()
        if finding.record.fault is not fault:
            self._lines += 1
            if self._lines <= _MOST_LINES:
                self._log.error(
                    "Fixity: {path} in the store {store} is {fault}{detail}",
                    path=Layout.FLAT.path(finding.record.key),
                    store=finding.record.store,
                    fault=fault.value,
                    detail=f": {finding.detail}" if finding.detail else "",
                )
        return finding.outcome

    async def _is_blamed(self, finding: Finding) -> bool:
        """Fire with whether a fault is the original's own, and not one of its store or of a disk."""
        place = finding.record.store, finding.record.key.collection
        if finding.fault is Fault.CHANGED or self._good_until.get(place, 0.0) > self._clock.seconds():
            return True
        if not await self._is_usable(finding.record.store):
            return False
        if finding.fault is Fault.MISSING and await self._is_bare(*place):
            return False
        self._good_until[place] = self._clock.seconds() + _CONFIRM_SECONDS
        return True

    async def _is_usable(self, name: str) -> bool:
        """Fire with whether a store can be used; one that cannot is left alone for some minutes."""
        try:
            await self._stores[name].check()
        except AssetError as error:
            self._log.warn("Fixity: the store {name} is left out for now: {error}", name=name, error=error)
            self._down_until[name] = self._clock.seconds() + _DOWN_SECONDS
            return False
        return True

    def _is_down(self, name: str) -> bool:
        return self._down_until.get(name, 0.0) > self._clock.seconds()

    async def _is_bare(self, name: str, directory: str) -> bool:
        """Fire with whether a collection has no original at all: a disk that is not mounted, rather than a loss."""
        if not await is_empty(self._stores[name], directory, Kind.ORIGINAL):
            return False
        if (name, directory) not in self._state.doubts:
            whose = f" of {directory}" if directory else ""
            doubt = f"no original{whose} is in the store {name}, though some are recorded: is a disk not mounted?"
            self._log.error("Fixity: {doubt}", doubt=doubt)
            self._state.doubts[name, directory] = doubt
        return True

    async def _forget_doubts(self) -> None:
        """Forget the doubts about collections that have originals again, and about those that need none any more."""
        for name, directory in list(self._state.doubts):
            with suppress(AssetError):
                is_bare = await is_empty(self._stores[name], directory, Kind.ORIGINAL)
                if not is_bare or directory not in await self._records.collections(name):
                    del self._state.doubts[name, directory]
