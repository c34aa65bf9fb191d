"""Journal of what happens to originals, in a SQLite file on a local disk, until the catalogue's database has it.

A change is entered before it begins, and completed when it is done, so that the catalogue learns of changes whose
daemon was killed. Serving and storing assets need the journal's disk at most, never the database.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path

import attrs

from was_daemon.catalogue.events import Event, EventKind
from was_daemon.concurrency.sqlite import Database
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.stores.local.process_lock import ProcessLock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, process TEXT NOT NULL,
    store TEXT NOT NULL, collection TEXT NOT NULL, name TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_key ON changes (store, collection, name);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    store TEXT NOT NULL, collection TEXT NOT NULL, name TEXT NOT NULL,
    size INTEGER, sha256 TEXT, md5 TEXT, file_name TEXT, address TEXT, file_path TEXT, notes TEXT, file_md5 TEXT
);
CREATE INDEX IF NOT EXISTS events_key ON events (store, collection, name);
"""
_LATER_COLUMNS = ("file_path", "notes", "file_md5")
"""Columns of `events`, in their order, that journals of earlier versions lack."""

_values_of = attrgetter(*(field.name for field in attrs.fields(Origin)))
_ADD_EVENT = f"INSERT INTO events VALUES (NULL{', ?' * 14})"  # noqa: S608


@attrs.frozen
class Unsettled:
    """A change that has begun, and of whose end nothing is known."""

    number: int
    store: str
    key: AssetKey


class Journal:
    """The journal in the file `path`, which all daemons of a machine may share; every method may raise
    `StoreUnavailable`."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA, "the journal of the catalogue", _upgrade)
        self.path: Path | None = path
        self._processes = path.with_name(f"{path.name}.processes")
        self._lock = ProcessLock(self._processes)

    async def begin(self, store: str, key: AssetKey) -> int:
        """Enter that a change of `key` begins; fire with its number."""
        return await self._database.run_together(self._begin, store, key)

    async def complete(self, number: int | None, event: Event) -> None:
        """Enter what has come of a change; `number` is None if its beginning could not be entered."""
        await self._database.run_together(_complete, number, [event])

    async def cancel(self, number: int) -> None:
        """Remove a change that has changed nothing."""
        await self._database.run(_complete, number, [])

    async def add(self, event: Event) -> None:
        """Enter what has happened already."""
        await self._database.run(_add, [event])

    async def events(self, limit: int) -> list[tuple[int, Event]]:
        """Fire with the oldest events and their numbers."""
        return await self._database.read(_oldest, limit)

    async def remove(self, numbers: Sequence[int]) -> None:
        """Remove events, which are in the database."""
        await self._database.run(_remove, numbers)

    async def count(self) -> int:
        """Fire with the number of events that wait."""
        return await self._database.read(_count)

    async def mentions(self, store: str, key: AssetKey) -> bool:
        """Fire with whether a change of `key` is under way, or not yet in the database."""
        return await self._database.read(_mentions, store, key)

    async def mentioned(self, store: str) -> set[AssetKey]:
        """Fire with the originals of a store whose changes are under way, or not yet in the database."""
        return await self._database.read(_mentioned, store)

    async def interrupted(self) -> list[Unsettled]:
        """Fire with the changes of processes that have ended."""
        return await self._database.run(self._interrupted)

    async def check(self) -> None:
        """Raise `StoreUnavailable` if nothing can be entered."""
        await self._database.check()

    async def close(self) -> None:
        """Close the file. Changes that are under way count as interrupted from then on."""
        await self._database.close()
        self._lock.release()

    def _begin(self, connection: sqlite3.Connection, store: str, key: AssetKey) -> int:
        if not self._lock.is_held:
            self._processes.mkdir(mode=0o700, exist_ok=True)
            self._lock.acquire()
        values = (self._lock.identifier, store, key.collection, key.name)
        cursor = connection.execute("INSERT INTO changes VALUES (NULL, ?, ?, ?, ?)", values)
        return int(cursor.lastrowid or 0)

    def _interrupted(self, connection: sqlite3.Connection) -> list[Unsettled]:
        own = self._lock.identifier
        processes = [
            row[0] for row in connection.execute("SELECT DISTINCT process FROM changes WHERE process != ?", (own,))
        ]
        found = []
        for process in processes:
            if not self._lock.is_alive(process):
                rows = connection.execute(
                    "SELECT number, store, collection, name FROM changes WHERE process = ?", (process,)
                )
                found += [Unsettled(row[0], row[1], AssetKey(row[2], Kind.ORIGINAL, row[3])) for row in rows]
        return found


def _upgrade(connection: sqlite3.Connection) -> None:
    known = {row[1] for row in connection.execute("PRAGMA table_info(events)")}
    for column in _LATER_COLUMNS:
        if column not in known:
            connection.execute(f"ALTER TABLE events ADD COLUMN {column} TEXT")


def _complete(connection: sqlite3.Connection, number: int | None, events: Iterable[Event]) -> None:
    connection.execute("DELETE FROM changes WHERE number = ?", (number,))
    _add(connection, events)


def _add(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    for event in events:
        key, digest, origin = event.key, event.digest, event.origin
        facts = (digest.size, digest.sha256, digest.md5) if digest else (None, None, None)
        where = (event.store, key.collection, key.name)
        values = (event.source, event.at, event.kind.value, *where, *facts, *_values_of(origin))
        connection.execute(_ADD_EVENT, values)


def _oldest(connection: sqlite3.Connection, limit: int) -> list[tuple[int, Event]]:
    rows = connection.execute("SELECT * FROM events ORDER BY number LIMIT ?", (limit,))
    return [(row[0], _event(*row[1:])) for row in rows]


def _event(
    source: str,
    at: float,
    kind: str,
    store: str,
    collection: str,
    name: str,
    size: int | None,
    sha256: str | None,
    md5: str | None,
    *origin: str | None,
) -> Event:
    key = AssetKey(collection, Kind.ORIGINAL, name)
    digest = Digest(size, sha256, md5) if size is not None and sha256 else None
    return Event(source, at, EventKind(kind), store, key, digest, Origin(*origin))


def _remove(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    connection.executemany("DELETE FROM events WHERE number = ?", [(number,) for number in numbers])


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM events").fetchone()[0])


def _mentioned(connection: sqlite3.Connection, store: str) -> set[AssetKey]:
    query = " UNION ".join(f"SELECT collection, name FROM {table} WHERE store = ?" for table in ("changes", "events"))  # noqa: S608
    return {AssetKey(collection, Kind.ORIGINAL, name) for collection, name in connection.execute(query, (store, store))}


def _mentions(connection: sqlite3.Connection, store: str, key: AssetKey) -> bool:
    where, values = "store = ? AND collection = ? AND name = ?", (store, key.collection, key.name)
    query = f"SELECT EXISTS (SELECT 1 FROM changes WHERE {where}) OR EXISTS (SELECT 1 FROM events WHERE {where})"  # noqa: S608
    return bool(connection.execute(query, values * 2).fetchone()[0])
