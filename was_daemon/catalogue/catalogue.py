"""The catalogue: what is kept, and what has happened to it."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.catalogue.captions import Captions
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event
from was_daemon.catalogue.fixity import FixityRecords
from was_daemon.catalogue.journal import Journal, Unsettled
from was_daemon.catalogue.old_checksums import old_checksums, set_aside
from was_daemon.catalogue.outcomes import outcome
from was_daemon.catalogue.records import digests_after, find_digest, find_known, overtaken, record, recorded
from was_daemon.catalogue.servers import server_url
from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.concurrency.waiting import Waiters
from was_daemon.config.catalogue_settings import CatalogueSettings
from was_daemon.model.digests import Digest
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.model.trash import NOTHING_KNOWN, Known

P = ParamSpec("P")
T = TypeVar("T")

_PAGE_ROWS = 1000
"""Number of rows that `Catalogue.each` reads at a time."""

_BATCH = 500
"""Number of events that one transaction moves from the journal to the database."""

_GATHERING_SECONDS, _BUSY_GATHERING_SECONDS = 0.25, 1.0
"""Seconds for which events are gathered before they are moved together, and while more come all the time: of twenty,
each takes four times as much work as of two hundred."""

_FIRST_DELAY_SECONDS = 1.0
_MAX_DELAY_SECONDS = 60.0
"""Seconds until the database is tried again, doubled after each failure."""


class Catalogue:
    """The catalogue in `database`, and the events in `journal` that are on their way to it."""

    _log = Logger()

    def __init__(self, database: CatalogueDatabase, journal: Journal) -> None:
        from twisted.internet import reactor

        self.journal = journal
        self.path = database.path
        self.fixity = FixityRecords(database, journal)
        self.captions = Captions(database)
        self._database = database
        self._clock = IReactorTime(reactor)
        self._tasks = BackgroundTasks()
        self._is_moving = self._must_move = self._is_down = False
        self._changed_at = float("-inf")
        self._moving = DeferredLock()
        self._recorded = Waiters()
        self._completed: list[tuple[int | None, Event]] = []
        """Changes that are done. The journal has their beginnings until the database has the events."""
        self.moves = 0

    def start(self, stores: Mapping[str, IAssetStore], checksums: Path | None) -> None:
        """Begin to take over the file of `checksums`, and what daemons have left that were killed."""
        self.move_events()
        self._tasks.start(self._begin(stores, checksums))

    async def _begin(self, stores: Mapping[str, IAssetStore], checksums: Path | None) -> None:
        if checksums:
            await self._try(self._take_over(checksums))
        # A database that is down now would not hear of deletions until the next start otherwise.
        while not await self._try(self._settle_interrupted(stores)):
            await deferLater(self._clock, _MAX_DELAY_SECONDS)

    async def _try(self, step: Coroutine[Deferred[Any], Any, None]) -> bool:
        """Carry out a step; fire with whether that was possible."""
        try:
            await step
        except AssetError as error:
            self._log.error("The catalogue is not complete: {error}", error=error)
            return False
        return True

    async def _take_over(self, checksums: Path) -> None:
        count = 0
        async with aclosing(old_checksums(checksums)) as pages:
            async for events in pages:
                await self._database.run(record, events)
                count += len(events)
        if count:
            set_aside(checksums)
            self._log.info("{count} checksums of {path} are in the catalogue now", count=count, path=checksums)

    def read(self, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Fire with the result of a step that only reads the database, see `CatalogueDatabase.read`."""
        return self._database.read(step, *args, **kwargs)

    def run(self, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Fire with the result of a step that writes to the database, see `CatalogueDatabase.run`."""
        return self._database.run(step, *args, **kwargs)

    @property
    def quiet_seconds(self) -> float:
        """Seconds since this process has recorded the last change of an original."""
        return self._clock.seconds() - self._changed_at

    def next_move(self) -> Deferred[None]:
        """Return a Deferred that fires when this process has moved further events to the database; `moves` counts."""
        return self._recorded.add()

    async def find(self, store: str, key: AssetKey) -> Digest | None:
        """Fire with what is recorded of an original's content; None if nothing is, or while it changes."""
        if await self.journal.mentions(store, key):
            return None
        return await self._database.read(find_digest, store, key)

    async def known(self, store: str, key: AssetKey) -> Known:
        """Fire with what is recorded of the stored version of an original; nothing while it changes, or when down."""
        if self._is_down or await self.journal.mentions(store, key):
            return NOTHING_KNOWN
        return await self._database.read(find_known, store, key)

    async def unrecorded(self, store: str, keys: Sequence[AssetKey]) -> list[AssetKey]:
        """Fire with those of some hundred originals of which nothing is recorded, and that do not change now."""
        known = await self._database.read(recorded, store, keys) | await self.journal.mentioned(store)
        return [key for key in keys if key not in known]

    async def each(self, store: str, collection: str) -> AsyncGenerator[tuple[AssetKey, Digest], None]:
        """Yield what is recorded of all originals of a collection in a store, in the order of their names."""
        last = ""
        while page := await self._database.read(digests_after, store, collection, last, _PAGE_ROWS):
            for key, digest in page:
                yield key, digest
            last = page[-1][0].name

    async def add(self, event: Event) -> None:
        """Record an event; fires when the journal has it."""
        await self.journal.add(event)
        self.move_events()

    def move_events(self) -> None:
        """Begin to move all events from the journal to the database."""
        self._must_move = True
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
                        while await self._move_some() == _BATCH:
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
            batch, self._completed = self._completed[:_BATCH], self._completed[_BATCH:]
            try:
                async with self._moving:
                    await self._database.run(record, [event for _, event in batch])
                    await self.journal.end([number for number, _ in batch if number is not None])
            except BaseException:
                # An event that comes twice is recorded once.
                self._completed = batch + self._completed
                raise
            self._note_moved()

    async def _enter_completed(self) -> None:
        """Enter the changes that are done in the journal, where they wait for the database."""
        completed, self._completed = self._completed, []
        if completed:
            try:
                await self.journal.complete(completed)
            except AssetError as error:
                # Neither can be written, as on a disk that is full until something is deleted: that is to be recorded.
                self._completed = completed + self._completed
                self._log.error("{error}", error=error)

    async def _enter_and_move(self) -> None:
        await self._enter_completed()
        self.move_events()

    def _note_failure(self, error: StoreUnavailable) -> None:
        if not self._is_down:
            self._log.error("{error}, {reason}: the journal keeps what happens", error=error, reason=error.reason)
        self._is_down = True

    def _note_success(self) -> None:
        if self._is_down:
            self._log.info("The catalogue can be used again")
        self._is_down = False

    async def wait_for_changes(self, patience: float) -> None:
        """Wait until the daemons have recorded the changes that are under way now, or for `patience` seconds."""
        end = self._clock.seconds() + patience
        numbers = await self.journal.under_way()
        while numbers and self._clock.seconds() < end:
            await deferLater(self._clock, _GATHERING_SECONDS)
            numbers &= await self.journal.under_way()

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
        found = await self.journal.events(_BATCH)
        if found:
            await self._database.run(record, [event for _, event in found])
            await self.journal.remove([number for number, _ in found])
            self._note_moved()
        return len(found)

    def _note_moved(self) -> None:
        self.moves += 1
        self._recorded.release()

    def complete(self, number: int | None, event: Event) -> None:
        """Record what has come of a change; `number` is None if its beginning could not be entered in the journal."""
        self._changed_at = self._clock.seconds()
        self._completed.append((number, event))
        if self._is_down:
            self._tasks.start(self._enter_and_move())
        elif not self._is_moving:
            self._is_moving = True
            self._tasks.start(self._move_until_done())

    def settle(self, change: Unsettled, store: IAssetStore, previous: AssetStat | None = None) -> None:
        """Begin to find out what has come of a change that has failed, which found the version `previous`.

        If that is not possible now, it is done at the next start.
        """
        self._tasks.start(self._settle_failed(change, store, previous))

    async def _settle_failed(self, change: Unsettled, store: IAssetStore, previous: AssetStat | None) -> None:
        await self._try(self.journal.fail(change.number))
        await self._settle(change, store, previous)

    async def _settle_interrupted(self, stores: Mapping[str, IAssetStore]) -> None:
        """Find out what has come of the changes of daemons that were killed."""
        # What the database has decides, so it has to be up to date.
        await self.move_all()
        changes = [each for each in await self.journal.interrupted() if each.event.store in stores]
        last = []
        for start in range(0, len(changes), _BATCH):
            last += await self._settle_overtaken(changes[start : start + _BATCH])
        for change in last:
            await self._settle(change, stores[change.event.store], None)

    async def _settle_overtaken(self, changes: Sequence[Unsettled]) -> list[Unsettled]:
        """Record those changes after which others have begun, unless they have failed; fire with the rest."""
        by_others = await self._database.read(overtaken, [each.event for each in changes if not each.is_overtaken])
        before = [each for each in changes if each.is_overtaken or each.event.source in by_others]
        await self._database.run(record, [each.event for each in before if not each.has_failed])
        settled = {each.number for each in before}
        await self.journal.end(sorted(settled))
        return [each for each in changes if each.number not in settled]

    async def _is_overtaken(self, change: Unsettled) -> bool:
        if await self.journal.is_overtaken(change):
            return True
        return bool(await self._database.read(overtaken, [change.event]))

    async def _settle(self, change: Unsettled, store: IAssetStore, previous: AssetStat | None) -> None:
        try:
            event = await outcome(self._database, change.event, store, previous)
            if event is not change.event and await self._is_overtaken(change):
                # What the store has, or has no more, is what came of the later one.
                event = None if change.has_failed else change.event
            if event:
                self.complete(change.number, event)
            else:
                await self.journal.end([change.number])
        except AssetError as error:
            self._log.error("It is not known what has become of {key}: {error}", key=change.event.key, error=error)

    @property
    def database(self) -> CatalogueDatabase:
        """The database, whose tables have more in them than the history of originals."""
        return self._database

    async def check(self) -> None:
        """Raise `StoreUnavailable` when the database cannot be written to."""
        await self._database.check()

    async def settled(self) -> None:
        """Wait until the work in the background is done."""
        await self._tasks.finish()

    async def close(self) -> None:
        """Stop moving events, which stay in the journal, and close the files and connections."""
        self._tasks.cancel()
        await self._tasks.settled()
        await self._enter_completed()
        await self.journal.close()
        await self._database.close()


def open_catalogue(settings: CatalogueSettings) -> Catalogue:
    """Return the catalogue that is configured; it connects when it is first used."""
    journal = settings.journal_path
    assert journal  # noqa: S101 - the settings have been checked
    return Catalogue(CatalogueDatabase(_url(settings), settings.password_file), Journal(journal))


def _url(settings: CatalogueSettings) -> URL:
    if settings.url is None:
        return URL.create("sqlite", database=str(settings.path))
    return server_url(settings.url)
