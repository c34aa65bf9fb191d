"""The catalogue: what is kept, and what has happened to it."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from was_daemon.catalogue.captions import Captions
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event
from was_daemon.catalogue.fixity import FixityRecords
from was_daemon.catalogue.journal import Journal, Unsettled
from was_daemon.catalogue.old_checksums import old_checksums, set_aside
from was_daemon.catalogue.records import digests_after, find_digest, find_known, record, recorded
from was_daemon.catalogue.servers import server_url
from was_daemon.catalogue.settling import Settling
from was_daemon.catalogue.transfer import Transfer
from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.config.catalogue_settings import CatalogueSettings
from was_daemon.model.digests import Digest
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.model.trash import NOTHING_KNOWN, Known

P = ParamSpec("P")
T = TypeVar("T")

_PAGE_ROWS = 1000
"""Number of rows that `Catalogue.each` reads at a time."""

_PATIENCE_SECONDS = 10.0
"""Seconds for which `Catalogue.catch_up` waits for changes under way."""

_SETTLING_SECONDS = 60.0
"""Seconds until it is looked again whether a daemon, or a command, was killed in the middle of a change."""


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
        self._next_settling: IDelayedCall | None = None
        self._changed_at = float("-inf")
        self._transfer = Transfer(database, journal, self._clock)
        self._settling = Settling(database, journal, self._transfer)

    def start(self, stores: Mapping[str, IAssetStore], checksums: Path | None) -> None:
        """Begin to take over the file of `checksums`, and what daemons and commands leave that are killed."""
        self.move_events()
        self._tasks.start(self._begin(stores, checksums))

    async def _begin(self, stores: Mapping[str, IAssetStore], checksums: Path | None) -> None:
        if checksums:
            await self._try(self._take_over(checksums))
        await self._settle(stores)

    async def _settle(self, stores: Mapping[str, IAssetStore]) -> None:
        await self._try(self._settling.interrupted(stores))
        self._next_settling = self._clock.callLater(_SETTLING_SECONDS, lambda: self._tasks.start(self._settle(stores)))

    async def _try(self, step: Coroutine[Deferred[Any], Any, None]) -> None:
        try:
            await step
        except AssetError as error:
            self._log.error("The catalogue is not complete: {error}", error=error)

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
        return self._transfer.next_move()

    @property
    def moves(self) -> int:
        """Number of times that this process has moved events to the database."""
        return self._transfer.moves

    async def find(self, store: str, key: AssetKey) -> Digest | None:
        """Fire with what is recorded of an original's content; None if nothing is, or while it changes."""
        if await self.journal.mentions(store, key):
            return None
        return await self._database.read(find_digest, store, key)

    async def known(self, store: str, key: AssetKey) -> Known:
        """Fire with what is recorded of the stored version of an original; nothing while it changes, or when down."""
        if self._transfer.is_down or await self.journal.mentions(store, key):
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
        self._transfer.start()

    async def catch_up(self) -> None:
        """Wait for the daemons to record what is under way now, and move all events to the database.

        A change is recorded up to a second after its client has the answer. A long upload is waited for no longer than
        ten seconds. Raises `StoreUnavailable`.
        """
        await self._transfer.wait(_PATIENCE_SECONDS)
        await self._transfer.move_all()

    async def move_all(self) -> None:
        """Move all events from the journal to the database; fires when that is done, or raises `StoreUnavailable`."""
        await self._transfer.move_all()

    def complete(self, number: int | None, event: Event) -> None:
        """Record what has come of a change; `number` is None if its beginning could not be entered in the journal."""
        self._changed_at = self._clock.seconds()
        self._transfer.complete(number, event)

    def settle(self, change: Unsettled, store: IAssetStore, previous: AssetStat | None = None) -> None:
        """Begin to find out what has come of a change that has failed, which found the version `previous`."""
        self._tasks.start(self._settling.failed(change, store, previous))

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
        await self._transfer.finish()

    async def close(self) -> None:
        """Stop moving events, which stay in the journal, and close the files and connections."""
        self._tasks.cancel()
        await self._tasks.settled()
        if self._next_settling and self._next_settling.active():
            self._next_settling.cancel()
        await self._transfer.close()
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
