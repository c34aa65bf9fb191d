"""Journal of what happens to originals, in a SQLite file on a local disk, until the catalogue's database has it.

A change is entered before it begins, with the event by which it is to end, and stays until the database has the event,
so that the catalogue learns of changes whose daemon was killed. Events wait here while the database is down. Serving
and storing assets need the journal's disk at most, never the database.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path

import attrs

from was_daemon.catalogue.events import Event, EventKind
from was_daemon.concurrency.sqlite import Database, Together, consecutive
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.stores.local.process_lock import ProcessLock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, process TEXT NOT NULL,
    store TEXT NOT NULL, collection TEXT NOT NULL, name TEXT NOT NULL,
    source TEXT, at REAL, kind TEXT, size INTEGER, sha256 TEXT, md5 TEXT,
    file_name TEXT, address TEXT, file_path TEXT, notes TEXT, file_md5 TEXT, has_failed INTEGER
);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    store TEXT NOT NULL, collection TEXT NOT NULL, name TEXT NOT NULL,
    size INTEGER, sha256 TEXT, md5 TEXT, file_name TEXT, address TEXT, file_path TEXT, notes TEXT, file_md5 TEXT
);
CREATE INDEX IF NOT EXISTS events_key ON events (store, collection, name);
"""
_LATER_COLUMNS = {
    "events": ("file_path TEXT", "notes TEXT", "file_md5 TEXT"),
    "changes": (
        *("source TEXT", "at REAL", "kind TEXT", "size INTEGER", "sha256 TEXT", "md5 TEXT"),
        *("file_name TEXT", "address TEXT", "file_path TEXT", "notes TEXT", "file_md5 TEXT", "has_failed INTEGER"),
    ),
}
"""Columns of the tables, in their order, that journals of earlier versions lack."""

_values_of = attrgetter(*(field.name for field in attrs.fields(Origin)))
_COLUMNS = (
    "source, at, kind, store, collection, name, size, sha256, md5, file_name, address, file_path, notes, file_md5"
)
_ADD_EVENT = f"INSERT INTO events ({_COLUMNS}) VALUES (?{', ?' * 13})"  # noqa: S608
_CHANGE = f"(?{', ?' * 14})"


@attrs.frozen
class Unsettled:
    """A change that has begun, and of whose end nothing is known; `event` is the one by which it was to end.

    `has_failed` is whether the store did not confirm it, `is_overtaken` whether a later change of the same original has
    begun: only when this one had ended, as each waits for the one before.
    """

    number: int
    event: Event
    has_failed: bool = False
    is_overtaken: bool = False


class Journal:
    """The journal in the file `path`, which all daemons of a machine may share; every method may raise
    `StoreUnavailable`."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA, "the journal of the catalogue", _upgrade)
        self.path: Path | None = path
        self._processes = path.with_name(f"{path.name}.processes")
        self._lock = ProcessLock(self._processes)
        self._beginning = Together(self._database, self._begin)

    async def begin(self, event: Event) -> int:
        """Enter that a change begins, and the event by which it is to end; fire with its number."""
        return await self._beginning.add(event)

    async def complete(self, changes: Sequence[tuple[int | None, Event]]) -> None:
        """Turn changes that are done into events; the number is None if a beginning could not be entered."""
        await self._database.run(_complete, changes)

    async def end(self, numbers: Sequence[int]) -> None:
        """Remove changes whose events are in the database, or that have changed nothing."""
        await self._database.run(_end, numbers)

    async def fail(self, number: int) -> None:
        """Enter that the store did not confirm a change."""
        await self._database.run(_fail, number)

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

    async def under_way(self) -> set[int]:
        """Fire with the numbers of the changes of processes that run."""
        numbers = await self._database.read(_numbers)
        return numbers - {each.number for each in await self.interrupted()}

    async def interrupted(self) -> list[Unsettled]:
        """Fire with the changes of processes that have ended, in the order in which they began."""
        return await self._database.run(self._interrupted)

    async def is_overtaken(self, change: Unsettled) -> bool:
        """Fire with whether a later change of the same original has begun, and is not yet in the database."""
        return await self._database.read(_is_overtaken, change)

    async def check(self) -> None:
        """Raise `StoreUnavailable` if nothing can be entered."""
        await self._database.check()

    async def close(self) -> None:
        """Close the file. Changes that are under way count as interrupted from then on."""
        await self._database.close()
        self._lock.release()

    def _begin(self, connection: sqlite3.Connection, events: Sequence[Event]) -> Sequence[int]:
        if not self._lock.is_held:
            self._processes.mkdir(mode=0o700, exist_ok=True)
            self._lock.acquire()
        rows = ", ".join([_CHANGE] * len(events))
        values = [value for event in events for value in (self._lock.identifier, *_row(event))]
        cursor = connection.execute(f"INSERT INTO changes (process, {_COLUMNS}) VALUES {rows}", values)  # noqa: S608
        return consecutive(cursor, len(events))

    def _interrupted(self, connection: sqlite3.Connection) -> list[Unsettled]:
        own = self._lock.identifier
        processes = [
            row[0] for row in connection.execute("SELECT DISTINCT process FROM changes WHERE process != ?", (own,))
        ]
        last = _last_numbers(connection)
        found = []
        for process in processes:
            if not self._lock.is_alive(process):
                query = f"SELECT number, has_failed, {_COLUMNS} FROM changes WHERE process = ?"  # noqa: S608
                for number, has_failed, *values in connection.execute(query, (process,)):
                    event = _event(*values)
                    found.append(Unsettled(number, event, bool(has_failed), number < last[event.store, event.key]))
        return sorted(found, key=attrgetter("number"))


def _upgrade(connection: sqlite3.Connection) -> None:
    for table, columns in _LATER_COLUMNS.items():
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if column.split()[0] not in known:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    connection.execute(
        "UPDATE changes SET source = lower(hex(randomblob(16))), at = strftime('%s', 'now'), kind = 'found', "
        # By which event it was to end is not known.
        "has_failed = 1 "
        "WHERE source IS NULL"
    )


def _complete(connection: sqlite3.Connection, changes: Sequence[tuple[int | None, Event]]) -> None:
    _end(connection, [number for number, _ in changes if number is not None])
    _add(connection, [event for _, event in changes])


def _end(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    connection.executemany("DELETE FROM changes WHERE number = ?", [(number,) for number in numbers])


def _fail(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("UPDATE changes SET has_failed = 1 WHERE number = ?", (number,))


def _is_overtaken(connection: sqlite3.Connection, change: Unsettled) -> bool:
    event = change.event
    where, values = "store = ? AND collection = ? AND name = ?", (event.store, event.key.collection, event.key.name)
    query = (
        f"SELECT EXISTS (SELECT 1 FROM changes WHERE {where} AND number > ?) "  # noqa: S608
        f"OR EXISTS (SELECT 1 FROM events WHERE {where} AND at > ?)"
    )
    return bool(connection.execute(query, (*values, change.number, *values, event.at)).fetchone()[0])


def _last_numbers(connection: sqlite3.Connection) -> dict[tuple[str, AssetKey], int]:
    """Return the number of the last change of each original."""
    rows = connection.execute("SELECT store, collection, name, MAX(number) FROM changes GROUP BY 1, 2, 3")
    return {(store, AssetKey(collection, Kind.ORIGINAL, name)): number for store, collection, name, number in rows}


def _add(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    connection.executemany(_ADD_EVENT, [_row(event) for event in events])


def _row(event: Event) -> tuple[object, ...]:
    """Return the values of `_COLUMNS`."""
    key, digest = event.key, event.digest
    facts = (digest.size, digest.sha256, digest.md5) if digest else (None, None, None)
    where = (event.store, key.collection, key.name)
    return event.source, event.at, event.kind.value, *where, *facts, *_values_of(event.origin)


def _oldest(connection: sqlite3.Connection, limit: int) -> list[tuple[int, Event]]:
    rows = connection.execute(f"SELECT number, {_COLUMNS} FROM events ORDER BY number LIMIT ?", (limit,))  # noqa: S608
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


def _numbers(connection: sqlite3.Connection) -> set[int]:
    return {row[0] for row in connection.execute("SELECT number FROM changes")}


def _mentioned(connection: sqlite3.Connection, store: str) -> set[AssetKey]:
    query = " UNION ".join(f"SELECT collection, name FROM {table} WHERE store = ?" for table in ("changes", "events"))  # noqa: S608
    return {AssetKey(collection, Kind.ORIGINAL, name) for collection, name in connection.execute(query, (store, store))}


def _mentions(connection: sqlite3.Connection, store: str, key: AssetKey) -> bool:
    where, values = "store = ? AND collection = ? AND name = ?", (store, key.collection, key.name)
    query = f"SELECT EXISTS (SELECT 1 FROM changes WHERE {where}) OR EXISTS (SELECT 1 FROM events WHERE {where})"  # noqa: S608
    return bool(connection.execute(query, values * 2).fetchone()[0])
