"""The work by which one copy of a mirror follows the primary, in the background."""

import random

from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.concurrency.waiting import Waiters
from was_daemon.model.errors import AssetError, NoSpace, StoreTimeout, StoreUnavailable
from was_daemon.model.keys import AssetKey, Layout
from was_daemon.stores.layers.mirror.changes import Waiting
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.mirror.replicator import LaterChange, LostVersion, Replicator

POLL_SECONDS = 1.0
"""Seconds after which is looked for changes that other processes have entered."""

_QUIET_SECONDS, LONGEST_HOLD = 0.5, 10.0
"""Seconds without a change until files are copied, and for which changes one after the other put that off."""

_FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until the next attempt after one failure, and after many in a row."""

_LONGEST_PAUSE_OF_ASSET = 5.0
"""The same after failures about single assets, which are to hold up the others only a little."""

_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3600.0
"""Seconds until the next attempt at an asset that has failed by itself once, and many times: first others are tried."""

LOST_SECONDS = 300.0
"""Seconds until it is looked again for a version that the primary does not have: its disk may be mounted again."""

_DOWN = (StoreUnavailable, StoreTimeout, NoSpace)
"""Errors of a store that does not work at all, unlike those about one asset."""


class Follower:
    """The changes that one copy lacks, carried out in order for each asset, `parallel` assets at a time.

    After a failure there is one attempt at a time, at growing intervals, so that a store that is down is not
    overwhelmed when it comes back, and everything goes on within `LONGEST_PAUSE` seconds.
    """

    _log = Logger()

    def __init__(self, replicator: Replicator, journal: MirrorJournal, parallel: int, clock: IReactorTime) -> None:
        self._replicator = replicator
        self._journal = journal
        self._parallel = parallel
        self._clock = clock
        self._tasks = BackgroundTasks()
        self._waiters = Waiters()
        self._taken: dict[AssetKey, int] = {}
        self._in_a_row = 0
        self._resume_at = 0.0
        self._changed_at = self._held_since = self._held_until = 0.0
        self._has_problem: bool | None = None
        self.copied = 0
        self.failures = 0

    def wake(self) -> None:
        """Look for changes now."""
        # Who waits again at once is to wait for the next time.
        waiters, self._waiters = self._waiters, Waiters()
        waiters.release()

    def hold(self) -> None:
        """Begin with no other file for a moment: uploads come one after the other, and are to be as fast as ever."""
        now = self._clock.seconds()
        if now > self._changed_at + _QUIET_SECONDS:
            self._held_since = now
        self._changed_at = now
        self._held_until = min(now + _QUIET_SECONDS, self._held_since + LONGEST_HOLD)

    async def run(self) -> None:
        """Work until this is cancelled."""
        try:
            while True:
                if (pause := max(self._resume_at, self._held_until) - self._clock.seconds()) > 0:
                    await deferLater(self._clock, pause)
                    continue
                waiting = await self._next()
                if waiting:
                    self._take(waiting)
                    self._tasks.start(self._carry_out(waiting))
                else:
                    await self._idle()
        finally:
            self._tasks.cancel()

    async def close(self) -> None:
        """Wait until nothing is under way any more, after `run` was cancelled."""
        await self._tasks.settled()

    async def _next(self) -> Waiting | None:
        if self._tasks_under_way() >= (1 if self._in_a_row else self._parallel):
            return None
        try:
            return await self._journal.next(self._replicator.name, self._taken)
        except StoreUnavailable as error:
            self._fail(str(error))
            return None

    def _tasks_under_way(self) -> int:
        return sum(self._taken.values())

    def _take(self, waiting: Waiting) -> None:
        self._taken[waiting.key] = 1
        # What was moved is deleted only after it was copied within the store.
        if waiting.source and waiting.source not in self._taken:
            self._taken[waiting.source] = 0

    def _give_back(self, waiting: Waiting) -> None:
        self._taken.pop(waiting.key, None)
        if waiting.source and self._taken.get(waiting.source) == 0:
            del self._taken[waiting.source]

    async def _carry_out(self, waiting: Waiting) -> None:
        try:
            try:
                await self._replicator.carry_out(waiting)
            except LostVersion:
                await self._tell_lost(waiting)
            except LaterChange:
                # Its process notes that in a moment; if it was killed, another one does soon.
                await self._journal.defer(waiting, POLL_SECONDS)
                return
            await self._succeed()
        except CancelledError:
            raise
        except AssetError as error:
            await self._postpone(waiting, error)
        except Exception:
            self._log.failure(
                "{path} could not be copied to {copy}", path=Layout.FLAT.path(waiting.key), copy=self._replicator.name
            )
            await self._postpone(waiting, StoreUnavailable("internal error"), is_about_asset=True)
        finally:
            self._give_back(waiting)
            self.wake()

    async def _tell_lost(self, waiting: Waiting) -> None:
        problem = "the primary has lost it before it was copied"
        if not waiting.attempts:
            self._log.error(
                "{path}, for {copy}: {problem}",
                path=Layout.FLAT.path(waiting.key),
                copy=self._replicator.name,
                problem=problem,
            )
        await self._journal.postpone(waiting, problem, LOST_SECONDS, is_lost=True)

    async def _succeed(self) -> None:
        self.copied += 1
        self._in_a_row = 0
        if self._has_problem is not False:
            if self._has_problem:
                self._log.info("{copy} follows again", copy=self._replicator.name)
            self._has_problem = False
            await self._journal.tell_problem(self._replicator.name, "")

    async def _postpone(self, waiting: Waiting, error: AssetError, is_about_asset: bool = False) -> None:
        is_about_asset = is_about_asset or not isinstance(error, _DOWN)
        self._fail(str(error), _LONGEST_PAUSE_OF_ASSET if is_about_asset else LONGEST_PAUSE)
        try:
            if is_about_asset:
                seconds = _pause(waiting.attempts + 1, _FIRST_WAIT, _LONGEST_WAIT)
                await self._journal.postpone(waiting, str(error), seconds)
            await self._journal.tell_problem(self._replicator.name, str(error))
        except StoreUnavailable:
            # Told by the next look into the journal.
            return

    def _fail(self, problem: str, longest: float = LONGEST_PAUSE) -> None:
        self.failures += 1
        self._in_a_row += 1
        self._resume_at = self._clock.seconds() + _pause(self._in_a_row, _FIRST_PAUSE, longest)
        if not self._has_problem:
            self._has_problem = True
            self._log.error("{copy} does not follow: {problem}", copy=self._replicator.name, problem=problem)

    async def _idle(self) -> None:
        """Wait until something has ended or is due."""
        try:
            await self._waiters.add().addTimeout(POLL_SECONDS, self._clock)
        except DeferredTimeout:
            return


def _pause(failures: int, first: float, longest: float) -> float:
    """Return the seconds to wait after so many failures in a row, some of them by chance: others wait, too."""
    return min(longest, first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
