"""The way of events from the journal to the catalogue's database."""

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.records import record
from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.concurrency.waiting import Waiters
from was_daemon.model.errors import AssetError, StoreUnavailable

BATCH = 500
"""Number of events that one transaction records."""

_GATHERING_SECONDS, _BUSY_GATHERING_SECONDS = 0.25, 1.0
"""Seconds for which events are gathered before they are moved together, and while more come all the time: of twenty,
each takes four times as much work as of two hundred."""

_FIRST_DELAY_SECONDS = 1.0
_MAX_DELAY_SECONDS = 60.0
"""Seconds until the database is tried again, doubled after each failure."""


class Transfer:
    """Moves events from `journal` to `database`, together, in the background; `moves` counts the transactions.

    Changes that are done go to the database directly, since the journal has their beginnings until then. While the
    database is down, they wait in the journal as events.
    """

    _log = Logger()

    def __init__(self, database: CatalogueDatabase, journal: Journal, clock: IReactorTime) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._tasks = BackgroundTasks()
        self._is_moving = self._must_move = False
        self._moving = DeferredLock()
        self._recorded = Waiters()
        self._completed: list[tuple[int | None, Event]] = []
        self.is_down = False
        self.moves = 0

    def next_move(self) -> Deferred[None]:
        """Return a Deferred that fires when further events have been recorded."""
        return self._recorded.add()

    def start(self) -> None:
        """Begin to move all events of the journal."""
        self._must_move = True
        self._run()

    def complete(self, number: int | None, event: Event) -> None:
        """Record what has come of a change; `number` is None if its beginning could not be entered in the journal."""
        self._completed.append((number, event))
        if self.is_down:
            self._tasks.start(self._enter_and_move())
        else:
            self._run()

    def _run(self) -> None:
        if not self._is_moving:
            self._is_moving = True
            self._tasks.start(self._move_until_done())

    async def _move_until_done(self) -> None:
        delay, gathering = _FIRST_DELAY_SECONDS, _GATHERING_SECONDS
        try:
            while self._must_move or self._completed:
                await deferLater(self._clock, gathering)
                try:
                    await self._record_completed()
                    if self._must_move:
                        # Set again by what is added meanwhile.
                        self._must_move = False
                        while await self._move_some() == BATCH:
                            pass
                    self._note_success()
                    gathering = _BUSY_GATHERING_SECONDS
                except StoreUnavailable as error:
                    self._must_move = True
                    self._note_failure(error)
                    await self._enter_completed()
                    await deferLater(self._clock, delay)
                    delay = min(2 * delay, _MAX_DELAY_SECONDS)
        finally:
            self._is_moving = False

    async def _record_completed(self) -> None:
        """Record the changes that are done, without a way through the events of the journal."""
        while self._completed:
            batch, self._completed = self._completed[:BATCH], self._completed[BATCH:]
            try:
                async with self._moving:
                    await self._database.run(record, [event for _, event in batch])
                    await self._journal.end([number for number, _ in batch if number is not None])
            except BaseException:
                # An event that comes twice is recorded once.
                self._completed = batch + self._completed
                raise
            self._note_moved()
            if len(self._completed) < BATCH:
                # Those that have come meanwhile are gathered again.
                return

    async def _enter_completed(self) -> None:
        """Enter the changes that are done in the journal, where they wait for the database."""
        completed, self._completed = self._completed, []
        if completed:
            try:
                await self._journal.complete(completed)
            except AssetError as error:
                # Neither can be written, as on a disk that is full until something is deleted: that is to be recorded.
                self._completed = completed + self._completed
                self._log.error("{error}", error=error)

    async def _enter_and_move(self) -> None:
        await self._enter_completed()
        self.start()

    def _note_failure(self, error: StoreUnavailable) -> None:
        if not self.is_down:
            self._log.error("{error}, {reason}: the journal keeps what happens", error=error, reason=error.reason)
        self.is_down = True

    def _note_success(self) -> None:
        if self.is_down:
            self._log.info("The catalogue can be used again")
        self.is_down = False

    async def move_all(self) -> None:
        """Move all events from the journal to the database; fires when that is done, or raises `StoreUnavailable`."""
        await self._enter_completed()
        while await self._move_some():
            pass

    async def _move_some(self) -> int:
        """Move the oldest events; fire with their number."""
        # Two that move the same events would be in each other's way.
        async with self._moving:
            return await self._move_oldest()

    async def _move_oldest(self) -> int:
        found = await self._journal.events(BATCH)
        if found:
            await self._database.run(record, [event for _, event in found])
            await self._journal.remove([number for number, _ in found])
            self._note_moved()
        return len(found)

    def _note_moved(self) -> None:
        self.moves += 1
        self._recorded.release()

    async def wait(self, patience: float) -> None:
        """Wait until all processes have recorded the changes that are under way now, or for `patience` seconds."""
        end = self._clock.seconds() + patience
        numbers = await self._journal.under_way()
        while numbers and self._clock.seconds() < end:
            await deferLater(self._clock, _GATHERING_SECONDS)
            numbers &= await self._journal.under_way()

    async def finish(self) -> None:
        """Wait until nothing is being moved."""
        await self._tasks.finish()

    async def close(self) -> None:
        """Stop; what has not been moved is in the journal then."""
        self._tasks.cancel()
        await self._tasks.settled()
        await self._enter_completed()
