"""Search of the catalogue, by the names that clients have for collections."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.searching import Cursor, Page, collections_of, find, history_of
from was_daemon.concurrency.waiting import shield
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.search import Search
from was_daemon.model.search_texts import BadSearch

_PAGE_ROWS = 1000
_MOST_COLLECTIONS = 500

REQUEST_SECONDS = 10.0
"""Seconds that a client waits for its search, and for those before it."""

P = ParamSpec("P")
T = TypeVar("T")


class Finder:
    """Search of a catalogue. `collections` maps names of collections to directories, None if any name is a directory.

    One search at a time: others, and what is recorded meanwhile, want the database, too. Whoever asks waits for at most
    `patience` seconds, or as long as it takes. Every search raises `StoreUnavailable` then, and if the database cannot
    be used.
    """

    def __init__(
        self, catalogue: Catalogue, collections: Mapping[str, str] | None, patience: float | None = None
    ) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._catalogue = catalogue
        self._patience = patience
        self._collections = collections
        self._names = {directory: name for name, directory in reversed(list((collections or {}).items()))}
        self._lock = DeferredLock()

    def directories(self, names: Iterable[str]) -> tuple[str, ...] | None:
        """Return the directories of collections, None without names; raises `BadSearch`."""
        known = self._collections
        unknown = [name for name in names if known is not None and name not in known]
        if unknown:
            raise BadSearch(f"collection: none is called {unknown[0]}")
        return tuple(known[name] if known is not None else name for name in names) or None

    def directory(self, name: str) -> str:
        """Return the directory of the collection that rows name."""
        return (self._collections or {}).get(name, name)

    async def page(self, search: Search, after: Cursor | None, limit: int, backwards: bool = False) -> Page:
        """Fire with the next originals, at most `limit`, see `searching.find`."""
        found = await self._ask(find, search, after, limit, backwards)
        return self._named(found)

    async def collections(self) -> list[str]:
        """Fire with the names of collections, of which there may be more if any name is one; empty without any."""
        if self._collections is not None:
            return list(self._collections)
        found = await self._ask(collections_of, _MOST_COLLECTIONS)
        return sorted(filter(None, found), key=str.casefold)

    async def history(self, name: str, directories: tuple[str, ...] | None, after: Cursor | None, limit: int) -> Page:
        """Fire with the next events of a name, the oldest first."""
        return self._named(await self._ask(history_of, name, directories, after, limit))

    async def each(self, search: Search) -> AsyncGenerator[dict[str, Any], None]:
        """Yield all originals that a search finds."""
        after: Cursor | None = None
        while True:
            page = await self.page(search, after, _PAGE_ROWS)
            for row in page.rows:
                yield row
            if page.cursor is None:
                return
            after = page.cursor

    async def each_event(self, name: str, directories: tuple[str, ...] | None) -> AsyncGenerator[dict[str, Any], None]:
        """Yield all events of a name."""
        after: Cursor | None = None
        while True:
            page = await self.history(name, directories, after, _PAGE_ROWS)
            for row in page.rows:
                yield row
            if page.cursor is None:
                return
            after = page.cursor

    async def _ask(self, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        asking = Deferred.fromCoroutine(self._take_turn(step, *args, **kwargs))
        if self._patience is None:
            return await asking
        try:
            return await asking.addTimeout(self._patience, self._clock)
        except DeferredTimeout:
            reason = f"no answer within {self._patience:g} seconds"
            raise StoreUnavailable("the catalogue does not answer at the moment", reason) from None

    async def _take_turn(self, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        await self._lock.acquire()
        searching = self._catalogue.read(step, *args, **kwargs)
        # The database may be busy with it still when nobody waits for it any more.
        searching.addBoth(self._end_turn)
        return await shield(searching)

    def _end_turn(self, result: T) -> T:
        self._lock.release()
        return result

    def _named(self, page: Page) -> Page:
        """Return a page in which collections have their names; several of one directory have the first."""
        for row in page.rows:
            row["collection"] = self._names.get(row["collection"], row["collection"])
        return page
