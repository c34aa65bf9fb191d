"""Refreshing of what is known of the visibility of originals, from the catalogue's database.

All is read once, and again now and then; in between, what has changed. The first daemon of a machine saves what it has
learnt, for the time after a restart while the database is down.
"""

import time
from collections.abc import Iterable
from pathlib import Path

import attrs
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.identities import Identity
from was_daemon.catalogue.visibility import (
    DECISIONS,
    RECORDS,
    Decision,
    Position,
    Source,
    Summary,
    changed_after,
    decide,
    stated_after,
    statements,
    summary,
)
from was_daemon.catalogue.visibility_saving import VisibilitySaver
from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.concurrency.waiting import shield
from was_daemon.library.visibility import Gathering, Statement, Verdict, Visibility
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.model.keys import AssetKey

_PAUSE_SECONDS = 3.0
"""Seconds between two looks at what has changed."""

_NOTICE_SECONDS = 2 * _PAUSE_SECONDS
"""Seconds after which every daemon that can use the database has looked at what has changed."""

_PATIENCE_SECONDS = 30.0
"""Seconds that an upload waits until it is recorded that it is private."""

_MAX_PAUSE_SECONDS = 30.0
"""Seconds between two attempts while the database is down, at the most."""

_RELOAD_SECONDS = 3600.0
"""Seconds after which everything is read again, whatever was missed: clocks of machines differ."""

_MAX_CHANGES = 100_000
"""Number of changes after which everything is read again: they take more memory than the rest."""

_MAX_FOLLOWED = 20_000
"""Number of changes in a window up to which they are read one by one: to read everything takes a third for each row."""

_ROWS_OF_PAGE = 5000
_ROWS_OF_CHANGES = 500

_SHARE = 0.25
"""Share of the time in which everything is read again: the thread takes turns with requests."""

_LEAST_SHARE = 0.5
"""Share of the known originals for which there have to be rows: a backup may be older."""

_STALE_SECONDS = 120.0
"""Age of what is known from which on it is a problem."""

_SILENT = "the catalogue does not answer"


@attrs.define(eq=False)
class _Window:
    """The last `overlap` seconds of changes of a table, looked at every `interval` seconds.

    A change may become visible after another one whose time is later.
    """

    source: Source
    overlap: float
    interval: float
    last: float = 0.0
    due: float = 0.0
    seen: Summary | None = None


class VisibilityRefresh:
    """Refreshing of `visibility` from `database`, until it is closed.

    The file `snapshot` is read at the start, and written if `saves`.
    """

    _log = Logger()

    def __init__(
        self,
        visibility: Visibility,
        database: CatalogueDatabase,
        snapshot: Path,
        saves: bool,
        clock: IReactorTime | None = None,
    ) -> None:
        from twisted.internet import reactor

        self.visibility = visibility
        self._database = database
        self._saver = VisibilitySaver(visibility, snapshot, writes=saves)
        self._clock = clock or IReactorTime(reactor)
        self._tasks = BackgroundTasks()
        self._windows = [_Window(DECISIONS, 10, 0), _Window(RECORDS, 10, 0), _Window(RECORDS, 600, 60)]
        self._meanwhile: dict[int, Verdict] | None = None
        """What is learnt while everything is read."""
        self._began = self._clock.seconds()
        self._reloaded: float | None = None
        self._is_too_much = False
        self._refreshed: float | None = None
        self._problem: str | None = None

    def start(self) -> None:
        """Read the snapshot, before any request does, and begin to refresh."""
        self._saver.restore()
        self._tasks.start(self._run())

    async def close(self) -> None:
        """Stop refreshing."""
        self._tasks.cancel()
        await self._tasks.settled()
        await self._saver.close()

    @property
    def age(self) -> float:
        """Seconds since the last refresh, or since the start if there was none."""
        return self._clock.seconds() - (self._began if self._refreshed is None else self._refreshed)

    async def check(self) -> None:
        """Raise `StoreUnavailable` if what is known is old, and may no longer be right."""
        if self.age > _STALE_SECONDS:
            # A server that has vanished from the network gives no error for a long time.
            problem = self._problem or _SILENT
            raise StoreUnavailable(f"it is not known since {self.age:.0f} s what is private: {problem}")

    async def hide(self, store: str, key: AssetKey, reason: str) -> None:
        """Make an original private, or one that is about to be stored; raises `StoreUnavailable`.

        Fires when the other daemons know it, too.
        """
        identity = store, key.collection, key.name
        was_private = self.visibility.is_private(*identity)
        deciding = shield(Deferred.fromCoroutine(self._hide(identity, reason)))
        try:
            await deciding.addTimeout(_PATIENCE_SECONDS, self._clock)
        except DeferredTimeout:
            raise StoreUnavailable(_SILENT) from None
        if not was_private:
            await deferLater(self._clock, _NOTICE_SECONDS)

    async def _hide(self, identity: Identity, reason: str) -> None:
        await self._database.run(decide, [Decision(*identity, True, reason, time.time())])
        self._learn((await self._database.read(statements, [identity])).items())

    async def _run(self) -> None:
        pause = _PAUSE_SECONDS
        while True:
            try:
                await self.refresh()
                self._note_success()
                pause = _PAUSE_SECONDS
            except CancelledError:
                raise
            except AssetError as error:
                self._note_failure(f"{error}, {error.reason}" if error.reason else str(error))
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            except Exception:
                self._log.failure("What is private could not be read")
                self._problem, pause = "internal error", _MAX_PAUSE_SECONDS
            await deferLater(self._clock, pause)

    def _note_success(self) -> None:
        if self._problem:
            self._log.info("It is known again what is private")
        self._problem = None

    def _note_failure(self, problem: str) -> None:
        if not self._problem:
            self._log.error("{problem}: what was private before stays so", problem=problem)
        self._problem = problem

    async def refresh(self) -> None:
        """Learn what is known now; raises `StoreUnavailable`."""
        now = self._clock.seconds()
        is_late = self._reloaded is None or now > self._reloaded + _RELOAD_SECONDS
        if is_late or self._is_too_much or len(self.visibility.changes) > _MAX_CHANGES:
            self._is_too_much = False
            await self._reload()
            self._reloaded = now
        await self._follow()
        await self._saver.save()

    async def _reload(self) -> None:
        """Read everything, and go on to follow changes meanwhile."""
        is_first = self._reloaded is None
        await self._require_rows()
        self._meanwhile = {}
        for window in self._windows:
            window.last = (await self._database.read(summary, window.source, 0.0)).last
            window.seen = await self._database.read(summary, window.source, window.last - window.overlap)
        gathering = Gathering()
        for source in (RECORDS, DECISIONS):
            last: int | None = 0
            while last is not None:
                began = self._clock.seconds()
                last = await self._database.read(self._gather, source, last, gathering)
                if not is_first:
                    await deferLater(self._clock, (self._clock.seconds() - began) * (1 / _SHARE - 1))
                    await self._follow()
        entries = await deferToThread(gathering.entries)
        self.visibility.replace(self.visibility.key, entries, self._meanwhile)
        self._meanwhile = None

    async def _require_rows(self) -> None:
        """Raise `StoreUnavailable` if the database is not the one that it was: no row is ever removed from the tables.

        A file that is missing is made again, and an empty one says of nothing that it is private.
        """
        known = len(self.visibility.entries.hashes) if self.visibility.entries else 0
        rows = sum([(await self._database.read(summary, source, 0.0)).count for source in (RECORDS, DECISIONS)])
        if rows < known * _LEAST_SHARE:
            reason = (
                f"it has {rows} records and decisions, and had {known} at least; docs/configuration.md says what to do"
            )
            raise StoreUnavailable("the catalogue is not the one that it was", reason)

    def _gather(self, connection: Connection, source: Source, last: int, gathering: Gathering) -> int | None:
        """Take the next page of a table; called in a thread."""
        found, following = stated_after(connection, source, last, _ROWS_OF_PAGE)
        for identity, statement in found:
            gathering.add(self.visibility.hash_of(*identity), statement)
        return following

    async def _follow(self) -> None:
        """Learn what has changed in each window that is due."""
        now = self._clock.seconds()
        for window in self._windows:
            if now >= window.due:
                await self._look(window)
                window.due = now + window.interval
        self._refreshed = self._clock.seconds()

    async def _look(self, window: _Window) -> None:
        now = await self._database.read(summary, window.source, window.last - window.overlap)
        if window.seen == now:
            return
        if now.count > _MAX_FOLLOWED:
            self._is_too_much = True
            return
        position: Position | None = Position(now.since)
        while position:
            found, position = await self._database.read(changed_after, window.source, position, _ROWS_OF_CHANGES)
            self._learn(found.items())
        window.last, window.seen = max(window.last, now.last), now

    def _learn(self, said: Iterable[tuple[Identity, Statement | None]]) -> None:
        hash_of = self.visibility.hash_of
        verdicts = [(hash_of(*identity), statement.verdict if statement else None) for identity, statement in said]
        if self._meanwhile is not None:
            self._meanwhile.update(verdicts)
        self._saver.note(self.visibility.learn(verdicts))
