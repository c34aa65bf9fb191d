"""Promotion in the background of what is read."""

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.composition import PromotionState
from was_daemon.model.errors import AssetError, AssetNotFound, CannotMove
from was_daemon.model.keys import AssetKey
from was_daemon.stores.layers.layered.promotion import Promotion

_AT_ONCE = 2
"""Originals that are promoted at the same time."""

_MOST_WAITING = 1000
"""Originals that wait for their promotion, at most; of others the next read counts."""

_PAUSE_SECONDS = 60.0
"""Seconds without promotions after one has failed: a layer is down or full."""

_SPARED_SECONDS = 3600.0
"""Seconds for which an original is left alone that somebody else is copying."""


class Promoter:
    """Promotes originals in the background, from `start` to `close`, each `delay` seconds after it was read.

    In that time the thumbnail that it was read for is made and stored. What waits is forgotten when the process ends.
    """

    _log = Logger()

    def __init__(self, promotion: Promotion, delay: float) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._promotion = promotion
        self._delay = delay
        self._turns = DeferredSemaphore(_AT_ONCE)
        self._tasks = BackgroundTasks()
        self._waiting: set[AssetKey] = set()
        self._spared: dict[AssetKey, float] = {}
        self._is_on = False
        self._paused_until = 0.0
        self._promoted = self._failed = 0
        self._problem = ""

    @property
    def state(self) -> PromotionState:
        """How far the promotions have come."""
        is_stopped = self._clock.seconds() < self._paused_until or not self._is_on
        return PromotionState(len(self._waiting), self._promoted, self._failed, self._problem if is_stopped else "")

    def start(self) -> None:
        """Promote from now on what is read."""
        self._is_on = True

    def add(self, key: AssetKey) -> None:
        """Promote an original soon, if it can be."""
        is_wanted = self._is_on and key not in self._waiting and key not in self._spared
        if is_wanted and len(self._waiting) < _MOST_WAITING and self._clock.seconds() >= self._paused_until:
            self._waiting.add(key)
            self._tasks.start(self._promote_later(key))

    def spare(self, key: AssetKey) -> None:
        """Leave an original alone for an hour: its version would change under somebody's hands."""
        now = self._clock.seconds()
        self._spared = {each: until for each, until in self._spared.items() if until > now}
        self._spared[key] = now + _SPARED_SECONDS

    async def settled(self) -> None:
        """Wait until no promotion waits or is under way."""
        await self._tasks.finish()

    async def _promote_later(self, key: AssetKey) -> None:
        try:
            await deferLater(self._clock, self._delay)
            await self._turns.acquire()
            try:
                if key not in self._spared and self._is_on:
                    await self._promote(key)
            finally:
                self._turns.release()
        finally:
            self._waiting.discard(key)

    async def _promote(self, key: AssetKey) -> None:
        try:
            self._promoted += await self._promotion.promote(key)
        except AssetNotFound:
            # It was deleted meanwhile.
            return
        except CannotMove as error:
            self._is_on = False
            self._fail(error)
            self._log.error("{store}: nothing is promoted: {error}", store=self._promotion.first, error=error)
        except AssetError as error:
            self._paused_until = self._clock.seconds() + _PAUSE_SECONDS
            self._fail(error)
            self._log.warn("{key} was not promoted, and nothing will be for a minute: {error}", key=key, error=error)

    def _fail(self, error: AssetError) -> None:
        self._failed += 1
        self._problem = str(error)

    async def close(self) -> None:
        """End all promotions; what they have begun to copy is removed."""
        self._is_on = False
        self._tasks.cancel()
        await self._tasks.finish()
