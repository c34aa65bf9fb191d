"""Whether all is well: stores, workers, free space.

Looking costs little, however often somebody looks and however slow a store is: what was found counts for some seconds,
no store is asked twice at a time, and nobody waits for one that does not answer.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.concurrency.threads import Threads
from was_daemon.concurrency.waiting import Waiters
from was_daemon.health.directories import UnusableDirectory, check_directories, check_spool
from was_daemon.health.fixity import FixityCheck
from was_daemon.health.mirrors import MirrorHealth, journals, mirror_warnings, space_warning
from was_daemon.health.promotions import promotion_warnings, promotions
from was_daemon.health.report import CheckOutcome, Report
from was_daemon.jobs.trash import TrashKeeper
from was_daemon.library.collections import Collections
from was_daemon.library.quotas.quotas import Quotas
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IStagingFile
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.local.disk import free_near
from was_daemon.telemetry.metrics import Metrics
from was_daemon.workers.pool import WorkerPool

_FRESH_SECONDS = 10.0
_PATIENCE_SECONDS = 3.0

_log = Logger()


@attrs.frozen
class DatabaseCheck:
    """Check of a database, which is in the file `path`, or on a server if that is None.

    `run` raises `StoreUnavailable` when it cannot be written to.
    """

    path: Path | None
    run: Callable[[], Awaitable[None]]


NO_DATABASES: Mapping[str, DatabaseCheck] = {}


class Health:
    """Health checks of what `configure` was called with last."""

    def __init__(self, metrics: Metrics, quotas: Quotas) -> None:
        from twisted.internet import reactor

        self._metrics = metrics
        self._quotas = quotas
        self._clock = IReactorTime(reactor)
        self._stores: dict[str, _Check] = {}
        self._spool = _Check(None, _nothing, self._clock)
        self._databases: dict[str, _Check] = {}
        self._fixity: tuple[FixityCheck, _Check] | None = None
        self._pool: WorkerPool | None = None
        self._min_free = 0
        self._warnings: Sequence[str] = ()
        self._all_stores: Mapping[str, IAssetStore] = {}
        self._trash: TrashKeeper | None = None
        self._mirrors = MirrorHealth(metrics)

    def configure(
        self,
        stores: Mapping[str, IAssetStore],
        collections: Collections,
        pool: WorkerPool,
        spool: Spool,
        min_free: int,
        warnings: Sequence[str] = (),
        databases: Mapping[str, DatabaseCheck] = NO_DATABASES,
        fixity: FixityCheck | None = None,
        trash: TrashKeeper | None = None,
    ) -> None:
        """Look at these from now on, and repeat `warnings`, which have no path in them.

        Less than `min_free` bytes on a local file system are too few.
        """
        self._stores = {
            name: self._check(self._stores.get(name), store, partial(look_at_store, store, collections))
            for name, store in stores.items()
        }
        self._spool = self._check(self._spool, spool, partial(_spool_free, spool))
        self._databases = {
            name: self._check(self._databases.get(name), database, partial(look_at_database, database))
            for name, database in databases.items()
        } | {
            name: self._check(self._databases.get(name), journal, journal.free)
            for name, journal in journals(stores).items()
        }
        self._fixity = (fixity, _Check(fixity, fixity.look, self._clock)) if fixity else None
        self._pool = pool
        self._min_free = min_free
        self._warnings = warnings
        self._trash = trash
        self._all_stores = stores
        self._mirrors.configure(stores)

    def _check(self, before: "_Check | None", what: object, look: Callable[[], Awaitable[int | None]]) -> "_Check":
        if before is None or before.what is not what:
            return _Check(what, look, self._clock)
        before.step = look
        return before

    async def report(self) -> Report:
        """Fire with the present outcomes, at most some seconds old."""
        # At the same time: two slow stores take no longer than one.
        looks = {name: Deferred.fromCoroutine(check.look()) for name, check in self._stores.items()}
        spool = Deferred.fromCoroutine(self._spool.look())
        databases = {name: Deferred.fromCoroutine(check.look()) for name, check in self._databases.items()}
        usages = Deferred.fromCoroutine(self._quotas.usages())
        mirrors = await self._mirrors.look()
        fixity = Deferred.fromCoroutine(self._fixity[1].look()) if self._fixity else None
        outcomes = {name: await look for name, look in databases.items()}
        report = Report(
            {name: self._with_space_check(await look) for name, look in looks.items()},
            self._with_space_check(await spool),
            self._pool.problem() if self._pool else None,
            outcomes,
            await usages,
            [*self._warnings, *self._further_warnings(), *mirror_warnings(mirrors), *self._low_space(outcomes)],
            await fixity if fixity else None,
            self._trash.sizes if self._trash else {},
            mirrors,
            promotions(self._all_stores),
        )
        if self._quotas.problem:
            quotas = CheckOutcome(self._quotas.problem)
            report = attrs.evolve(report, databases={**report.databases, "quotas": quotas})
        self._show(report)
        return report

    def _further_warnings(self) -> list[str]:
        fixity = self._fixity[0].warnings() if self._fixity else ()
        trash = self._trash.problems() if self._trash else ()
        return [*fixity, *trash, *promotion_warnings(promotions(self._all_stores))]

    def _low_space(self, outcomes: Mapping[str, CheckOutcome]) -> list[str]:
        """Return warnings of disks that refuse nothing yet, unlike those of stores and the spool."""
        found = [space_warning(name, outcome.free, self._min_free) for name, outcome in outcomes.items()]
        return [warning for warning in found if warning]

    def _with_space_check(self, outcome: CheckOutcome) -> CheckOutcome:
        if outcome.problem or outcome.free is None or outcome.free >= self._min_free:
            return outcome
        mebibytes = outcome.free >> 20
        problem = f"{mebibytes} MiB are free, less than min_free; uploads are refused"
        return attrs.evolve(outcome, problem=problem, is_full=True)

    def _show(self, report: Report) -> None:
        metrics = self._metrics
        # Stores may be gone since the last time.
        metrics.store_up.clear()
        metrics.free_bytes.clear()
        for name, outcome in report.stores.items():
            metrics.store_up.labels(name).set(outcome.problem is None)
        for subject, outcome in report.subjects.items():
            if outcome.free is not None:
                metrics.free_bytes.labels(subject).set(outcome.free)
        metrics.healthy.set(not report.problems)


class _Check:
    """Check of a store, the spool or a database, with its last outcome."""

    def __init__(self, what: object, look: Callable[[], Awaitable[int | None]], clock: IReactorTime) -> None:
        self.what = what
        self.step = look
        self._clock = clock
        self._found = CheckOutcome()
        self._fresh_until = 0.0
        self._begun: float | None = None
        self._waiters = Waiters()

    async def look(self) -> CheckOutcome:
        """Fire with the outcome, that of the last look if it was a moment ago."""
        now = self._clock.seconds()
        if self._begun is None and now >= self._fresh_until:
            self._begun = now
            Deferred.fromCoroutine(self._look())
        if self._begun is not None:
            await self._wait(self._begun + _PATIENCE_SECONDS - now)
        return self._found

    async def _wait(self, seconds: float) -> None:
        try:
            await self._waiters.add().addTimeout(max(0.0, seconds), self._clock)
        except DeferredTimeout:
            self._found = attrs.evolve(self._found, problem=f"no answer within {_PATIENCE_SECONDS:g} s")

    async def _look(self) -> None:
        try:
            self._found = CheckOutcome(free=await self.step())
        except AssetError as error:
            self._found = CheckOutcome(str(error), path=path_of(error, self.what), reason=error.reason)
        except Exception:
            _log.failure("A look at {what} failed", what=str(self.what))
            self._found = CheckOutcome("internal error")
        self._begun = None
        self._fresh_until = self._clock.seconds() + _FRESH_SECONDS
        self._waiters.release()


async def _nothing() -> int | None:
    return None


def path_of(error: AssetError, place: object) -> Path | None:
    """Return where an error of a store, the spool or a database is, None if that is not on this machine."""
    if isinstance(error, UnusableDirectory):
        return error.path
    if isinstance(place, DatabaseCheck):
        return place.path
    if isinstance(place, Spool) or ILocalFiles.providedBy(place):
        root: Path = place.root
        return root
    return None


async def look_at_store(store: IAssetStore, collections: Collections) -> int | None:
    """Check a store, with the directories of its collections; fire with the free bytes on its file system.

    None when it has none or does not tell. Raises as `check`.
    """
    await store.check()
    if not ILocalFiles.providedBy(store):
        return None
    files = ILocalFiles(store)
    await files.in_thread(None, check_directories, store, collections)
    return _known(await files.in_thread(None, free_near, files.path(AssetKey("", Kind.ORIGINAL, "any"))))


async def look_at_database(database: DatabaseCheck) -> int | None:
    """Check whether a database can be written to; fire with the free bytes on its disk, None on a server.

    Raises `StoreUnavailable`.
    """
    await database.run()
    if database.path is None:
        return None
    # Of its own: a disk that hangs holds up no other. It ends with its work.
    threads = Threads(f"disk of {database.path}", 1)
    return _known(await threads.call(partial(free_near, database.path)))


async def _spool_free(spool: Spool) -> int | None:
    free = await _free(await spool.stage())
    await spool.in_thread(check_spool, spool.root)
    return free


async def _free(staged: IStagingFile) -> int | None:
    try:
        free = await staged.free()
    finally:
        staged.discard()
    return _known(free)


def _known(free: int) -> int | None:
    return free if free < sys.maxsize else None
