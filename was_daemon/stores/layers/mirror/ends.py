"""Ends of changes of a mirror, noted in its journal."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.layers.mirror.changes import Ended
from was_daemon.stores.layers.mirror.journal import MirrorJournal

_SECONDS = 0.1
"""Time for which ends are gathered: until then the beginning of the change stands for it, also after a kill."""

_RETRY_SECONDS = 5.0


class Ends:
    """The ends of changes of the mirror called `name`, which nobody waits for, and that are noted together.

    `noted` is called when copies have something to do. While the journal cannot be written, ends are kept.
    """

    _log = Logger()

    def __init__(self, name: str, journal: MirrorJournal, noted: Callable[[], None], clock: IReactorTime) -> None:
        self._name = name
        self._journal = journal
        self._noted = noted
        self._clock = clock
        self._gathered: list[Ended] = []
        self._timer: IDelayedCall | None = None
        self._tasks = BackgroundTasks()

    def add(self, ended: Ended) -> None:
        """Note the end of a change, soon."""
        self._gathered.append(ended)
        self._note_in(_SECONDS)

    def _note_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, lambda: self._tasks.start(self._note()))

    async def _note(self) -> None:
        # In their order: the next attempt begins after this one.
        gathered, self._gathered = self._gathered, []
        seconds = _SECONDS
        try:
            await self._journal.end(gathered)
        except StoreUnavailable as error:
            self._log.error("Store {name}: the copies have to wait: {error}", name=self._name, error=error)
            self._gathered = gathered + self._gathered
            seconds = _RETRY_SECONDS
        self._timer = None
        if self._gathered:
            self._note_in(seconds)
        self._noted()

    async def close(self) -> None:
        """Note what is left."""
        if self._timer and self._timer.active():
            self._timer.cancel()
            self._tasks.start(self._note())
        await self._tasks.settled()
        if self._timer and self._timer.active():
            self._timer.cancel()
