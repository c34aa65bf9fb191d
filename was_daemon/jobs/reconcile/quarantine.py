"""Moving of originals that are in no record of Specify into the trash.

Nothing is moved unless every database of Specify has just been read and has the rows that are to be expected. Each
original is looked at again, and looked for in the records as they are now, before it is moved.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol, TypeAlias

import attrs

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.records import last_restored
from was_daemon.jobs.reconcile.collect import Collector
from was_daemon.jobs.reconcile.findings import Orphan
from was_daemon.jobs.reconcile.reconciler import Reconciler, is_old
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Layout
from was_daemon.model.lookup import find_stat
from was_daemon.specify.reader import SpecifyReader

_FRESH_SECONDS = 60.0
"""Time for which what the databases say is taken to be so."""

_CLOCK_SECONDS = 3600.0
"""Difference of the clocks of two daemons at most, for records that another one changes meanwhile."""

Move: TypeAlias = Callable[[AssetKey, str, AssetStat], Awaitable[bool]]
"""Move an original into the trash, with a note that says why; raises what the store raises.

Fires with False, and has changed nothing, if the original is not the given version any more.
"""

_NOTE = "in no record of Specify"


class TooManyOrphans(AssetError):
    """More originals in no record than can be believed."""


class QuarantineReport(Protocol):
    """Report of what was moved."""

    def move(self, store: str, file: str) -> None:
        """Report that a file, by its path in the flat layout, was moved into the trash."""


@attrs.define
class Quarantine:
    """Quarantine of the orphans that a reconciler finds.

    Nothing is moved if more than `limit`, a share from 0 to 1, of the originals in a place are orphans. `began` is the
    Unix time at which the records began to be read.
    """

    reconciler: Reconciler
    collector: Collector
    catalogue: CatalogueDatabase
    readers: Sequence[SpecifyReader]
    move: Move
    limit: float
    began: float
    report: QuarantineReport
    _read_at: float = attrs.field(init=False, default=-_FRESH_SECONDS)

    async def run(self) -> None:
        """Move the orphans; raise `TooManyOrphans` or `StoreUnavailable`, and move no more then."""
        await self._read_again()
        await self._require_few()
        async with aclosing(self.reconciler.old_orphans()) as orphans:
            async for orphan in orphans:
                if time.monotonic() - self._read_at >= _FRESH_SECONDS:
                    await self._read_again()
                await self._move(orphan)

    async def _require_few(self) -> None:
        numbers: Counter[int] = Counter()
        places = self.collector.places
        async with aclosing(self.reconciler.old_orphans()) as orphans:
            async for orphan in orphans:
                numbers[places.index(orphan.place)] += 1
        for index, number in numbers.items():
            count = await self.reconciler.findings.count_originals(places[index])
            if number > count * self.limit:
                where = " of ".join(filter(None, (places[index].directory, f"store {places[index].name}")))
                raise TooManyOrphans(
                    f"nothing is moved: {number} of {count} originals in {where} are in no record, more than --limit"
                )

    async def _read_again(self) -> None:
        for reader in self.readers:
            await reader.read()
        await self.collector.recorded(self.catalogue, since=self.began - _CLOCK_SECONDS)
        self._read_at = time.monotonic()

    async def _move(self, orphan: Orphan) -> None:
        """Move an original if it is still in no record, and old."""
        if await self.reconciler.findings.is_recorded(orphan.key.name):
            return
        stat = await find_stat(orphan.place.store, orphan.key)
        # Of unknown age, 0, it may just have been uploaded.
        is_due = stat is not None and stat.modified > 0 and is_old(stat, self.reconciler.before)
        if not stat or not is_due or await self._was_restored(orphan):
            return
        if await self.move(orphan.key, _NOTE, stat):
            self.report.move(orphan.place.name, Layout.FLAT.path(orphan.key))

    async def _was_restored(self, orphan: Orphan) -> bool:
        """Fire with whether somebody has brought it back from the trash since: it keeps its time of change then."""
        restored = await self.catalogue.read(last_restored, orphan.place.name, orphan.key)
        return restored is not None and restored >= self.reconciler.before
