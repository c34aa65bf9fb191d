"""The fixity of all originals under one configuration: what reads them, and what is known of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.fixity import Progress
from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.concurrency.rate_limit import RateLimit
from was_daemon.jobs.fixity.checker import Checker
from was_daemon.jobs.fixity.newcomers import Newcomers
from was_daemon.jobs.fixity.state import FixityState, Plan
from was_daemon.library.collections import Collections
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import IAssetStore
from was_daemon.telemetry.metrics import Metrics

_RETRY_SECONDS = 60.0

_LISTING_SECONDS = 600.0
"""Seconds after a start or reload until stores are listed, which may be much work."""


class Fixity:
    """Fixity of the originals in `stores`, which are read again as `plan` says, and not at all without a plan.

    Several daemons may share a catalogue, and the work.
    """

    _log = Logger()

    def __init__(
        self,
        catalogue: Catalogue,
        stores: Mapping[str, IAssetStore],
        collections: Collections,
        plan: Plan | None,
        metrics: Metrics,
    ) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._metrics = metrics
        self.plan = plan
        self._state = FixityState(catalogue.fixity, list(stores), plan, metrics)
        self._tasks = BackgroundTasks()
        self._steps: list[tuple[float, Callable[[], Awaitable[float]]]] = []
        if plan:
            self._limit = RateLimit(plan.rate, burst=1.0)
            newcomers = Newcomers(catalogue, stores, collections, metrics, self._pace)
            checker = Checker(catalogue, stores, self._state, plan, metrics, self._pace)
            listing = min(_LISTING_SECONDS, plan.every / 10)
            self._steps = [(0.0, checker.check_some), (listing, lambda: newcomers.record(plan.every))]

    def start(self) -> None:
        """Begin to read, if there is a plan."""
        for pause, step in self._steps:
            self._tasks.start(self._repeat(pause, step))

    def stop(self) -> None:
        """Stop reading at once. What was begun is due again within the hour."""
        self._tasks.cancel()

    async def close(self) -> None:
        """Stop, and wait until files are closed."""
        self.stop()
        await self._tasks.settled()

    async def check(self) -> None:
        """Raise `FaultyOriginals` if originals are not as recorded."""
        await self._state.check()

    def warnings(self) -> Sequence[str]:
        """Return what is no problem yet, a sentence each."""
        return self._state.warnings()

    def progress(self) -> Progress | None:
        """Return how far the checks have come, as it was counted last; None before, and without a plan."""
        return self._state.progress

    async def _pace(self, size: int) -> None:
        self._metrics.fixity_read.inc(size)
        await self._limit.wait(size)

    async def _repeat(self, pause: float, step: Callable[[], Awaitable[float]]) -> None:
        """Call `step` after `pause` seconds, and again and again after as many seconds as it fired with."""
        while True:
            # At least one turn of the reactor for others.
            await deferLater(self._clock, pause)
            try:
                pause = await step()
            except CancelledError:
                raise
            except StoreUnavailable:
                # The catalogue tells that it is down.
                pause = _RETRY_SECONDS
            except Exception:
                self._log.failure("Fixity cannot be checked at the moment")
                pause = _RETRY_SECONDS
