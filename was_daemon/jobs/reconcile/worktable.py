"""Temporary database in which millions of names are compared: a file that nobody else sees, and that is gone at the
end, however that comes."""

import sqlite3
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

from was_daemon.concurrency.sqlite import Database

_SCHEMA = """
CREATE TABLE originals (
    id INTEGER PRIMARY KEY, place INTEGER, name TEXT, folded TEXT, stem TEXT, size INTEGER, modified REAL
);
CREATE TABLE stems (place INTEGER, kind TEXT, stem TEXT);
CREATE TABLE derivatives (id INTEGER PRIMARY KEY, place INTEGER, kind TEXT, name TEXT, stem TEXT);
CREATE TABLE known (id INTEGER PRIMARY KEY, place INTEGER, name TEXT, size INTEGER, sha256 BLOB, oddity TEXT);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, source TEXT, number INTEGER, place INTEGER, name TEXT, folded TEXT, location TEXT,
    table_number INTEGER, removed REAL
);
"""
_INDEXES = """
CREATE INDEX originals_name ON originals (place, name);
CREATE INDEX originals_folded ON originals (folded);
CREATE INDEX originals_stem ON originals (place, stem);
CREATE INDEX stems_stem ON stems (place, kind, stem);
CREATE INDEX known_name ON known (place, name);
CREATE INDEX known_sha256 ON known (sha256);
CREATE INDEX records_folded ON records (folded);
ANALYZE;
"""
_CACHE = "PRAGMA cache_size = -16384"
_PAGE_ROWS = 1000


class Worktable:
    """The tables; every method may raise `StoreUnavailable`, such as when the disk for temporary files is full.

    `originals`: what is stored, `stem` is the name of its thumbnails without the scale. `stems`: the same for the
    derivatives of originals with long names. `derivatives`: stored thumbnails and pyramids, `stem` is what their name
    has of the original's. `known`: what the catalogue knows of contents. `records`: what Specify says; `name` is NULL
    if the location cannot be one, `place` if it is none of those that are compared, `removed` the Unix time at which
    Specify lost it. `folded` names are equal if the names differ only in case or Unicode form.
    """

    def __init__(self) -> None:
        self._database = Database(None, _SCHEMA, "the temporary database")

    async def add(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows, without their first column if that is `id`."""
        await self._database.run(_add, table, list(rows))

    async def index(self) -> None:
        """Make the indexes; to be called once, when most rows are there."""
        await self._database.read(_index)

    async def rows(self, query: str, *values: object) -> AsyncGenerator[tuple[Any, ...], None]:
        """Yield the rows of a query, in pages: its first column is an `id`, which is more than the first parameter,
        and by which it is ordered; the last parameter is the number of rows of a page."""
        last = 0
        while page := await self._database.read(_fetch, query, (last, *values, _PAGE_ROWS)):
            for row in page:
                yield row
            last = page[-1][0]

    async def number(self, query: str, *values: object) -> int:
        """Fire with the number that is the result of a query."""
        return int((await self._database.read(_fetch, query, values))[0][0] or 0)

    async def close(self) -> None:
        """Remove the database."""
        await self._database.close()


def _add(connection: sqlite3.Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        has_id = table != "stems"
        places = ", ".join([*(["NULL"] if has_id else []), *("?" for _ in rows[0])])
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608  # names of this module


def _index(connection: sqlite3.Connection) -> None:
    connection.execute(_CACHE)
    connection.executescript(_INDEXES)


def _fetch(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
    return connection.execute(query, values).fetchall()
