"""Record of the size and SHA-256 of each uploaded original, to compare stored files with.

The record is in a file outside of the stores, whose directories stay as the official server knows them. No upload fails
because the record cannot be written.
"""

import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.catalogue.hashing import HashedFile
from was_daemon.concurrency.sqlite import Database
from was_daemon.model.digests import Digest
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IStagingFile
from was_daemon.model.keys import AssetKey, Kind

T = TypeVar("T")

_PAGE_ROWS = 1000
"""Number of rows that `Checksums.each` reads at a time."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checksums (
    store TEXT, collection TEXT, name TEXT, size INTEGER NOT NULL, sha256 TEXT NOT NULL, recorded REAL NOT NULL,
    PRIMARY KEY (store, collection, name)
) WITHOUT ROWID
"""
_REPLACE = "INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?, ?, ?)"
_ADD = "INSERT OR IGNORE INTO checksums VALUES (?, ?, ?, ?, ?, ?)"


class Checksums:
    """Digests of originals, by the name of their store and their key, in a SQLite file.

    Several processes may use it, and any of them may be killed. Every method may raise `StoreUnavailable`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, _SCHEMA, "the checksums")

    async def find(self, store: str, key: AssetKey) -> Digest | None:
        """Fire with the digest that is recorded of `key`, None if there is none."""
        return await self._database.read(_find, store, key)

    async def record(self, store: str, key: AssetKey, digest: Digest) -> None:
        """Record `digest` in place of what was recorded before."""
        await self._database.run(_insert, _REPLACE, store, key, digest)

    async def record_new(self, store: str, key: AssetKey, digest: Digest) -> None:
        """Record `digest`, unless something has been recorded meanwhile."""
        await self._database.run(_insert, _ADD, store, key, digest)

    async def forget(self, store: str, key: AssetKey) -> Digest | None:
        """Remove the record of `key`; fire with the digest that it had, None if there was none."""
        return await self._database.run(_delete, store, key)

    async def each(self, store: str, collection: str) -> AsyncGenerator[tuple[AssetKey, Digest], None]:
        """Yield everything that is recorded of a collection in a store, in the order of the names."""
        last = ""
        while rows := await self._database.read(_select_after, store, collection, last):
            for name, size, sha256 in rows:
                yield AssetKey(collection, Kind.ORIGINAL, name), Digest(size, sha256)
            last = rows[-1][0]

    async def check(self) -> None:
        """Raise `StoreUnavailable` if nothing can be recorded."""
        await self._database.check()

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()


def _find(connection: sqlite3.Connection, store: str, key: AssetKey) -> Digest | None:
    found = connection.execute(
        "SELECT size, sha256 FROM checksums WHERE store = ? AND collection = ? AND name = ?",
        (store, key.collection, key.name),
    ).fetchone()
    return Digest(*found) if found else None


def _insert(connection: sqlite3.Connection, statement: str, store: str, key: AssetKey, digest: Digest) -> None:
    values = (store, key.collection, key.name, digest.size, digest.sha256, time.time())
    connection.execute(statement, values)


def _delete(connection: sqlite3.Connection, store: str, key: AssetKey) -> Digest | None:
    found = connection.execute(
        "DELETE FROM checksums WHERE store = ? AND collection = ? AND name = ? RETURNING size, sha256",
        (store, key.collection, key.name),
    ).fetchone()
    return Digest(*found) if found else None


def _select_after(connection: sqlite3.Connection, store: str, collection: str, last: str) -> list[tuple[str, int, str]]:
    return connection.execute(
        "SELECT name, size, sha256 FROM checksums WHERE store = ? AND collection = ? AND name > ? "
        "ORDER BY name LIMIT ?",
        (store, collection, last, _PAGE_ROWS),
    ).fetchall()


@attrs.frozen
class Recorder:
    """Recorder of checksums for uploads and deletes; does nothing without `checksums`."""

    checksums: Checksums | None = None

    _log = Logger()

    def watch(self, staged: IStagingFile) -> IStagingFile:
        """Return a staging file that computes the digest of the bytes written to `staged`."""
        return HashedFile(staged) if self.checksums else staged

    @asynccontextmanager
    async def changing(self, store: str, key: AssetKey, staged: IStagingFile | None = None) -> AsyncIterator[None]:
        """Record the replacement of an original by `staged`, or its removal without, which happens in the context.

        Nothing is recorded of the original meanwhile, so that `verify` finds no fault after the daemon was killed.
        """
        if self.checksums is None:
            yield
            return
        before = await self._try(self.checksums.forget(store, key))
        try:
            yield
        except AssetNotFound:
            raise
        except BaseException:
            if before:
                await self._try(self.checksums.record(store, key, before))
            raise
        if isinstance(staged, HashedFile):
            await self._try(self.checksums.record(store, key, await staged.digest()))

    async def confirm(
        self, store: str, key: AssetKey, stored: AssetStat, now: Callable[[], Awaitable[AssetStat]]
    ) -> None:
        """Remove the record of `stored` if another daemon has replaced it; `now` returns the present stat."""
        if self.checksums is None:
            return
        try:
            is_replaced = (await now()).etag != stored.etag
        except AssetError as error:
            is_replaced = isinstance(error, AssetNotFound)
        if is_replaced:
            await self._try(self.checksums.forget(store, key))

    async def _try(self, step: Coroutine[Deferred[Any], Any, T]) -> T | None:
        try:
            return await step
        except AssetError as error:
            self._log.error("{error}", error=error)
            return None
