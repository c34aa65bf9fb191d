"""The record of what was uploaded: the size and SHA-256 of each original, to compare stored files with.

It lies beside the stores, in a file of its own: the directories of a store stay as the official server knows them, and
stores have nothing to do with it. What happens to the file is never the reason that an upload fails.
"""

import os
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.catalogue.hashing import HashedFile
from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.digests import Digest
from was_daemon.model.errors import AssetError, AssetNotFound, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IStagingFile
from was_daemon.model.keys import AssetKey, Kind

T = TypeVar("T")

_WAIT_SECONDS = 5.0
"""How long another process may hold the file, which it does for milliseconds."""

_AT_ONCE = 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checksums (
    store TEXT, collection TEXT, name TEXT, size INTEGER NOT NULL, sha256 TEXT NOT NULL, recorded REAL NOT NULL,
    PRIMARY KEY (store, collection, name)
) WITHOUT ROWID
"""
_REPLACE = "INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?, ?, ?)"
_ADD = "INSERT OR IGNORE INTO checksums VALUES (?, ?, ?, ?, ?, ?)"


class Checksums:
    """A SQLite file of digests of originals, by the name of their store and their key.

    Several processes may use it, and any of them may be killed. Every method may raise `StoreUnavailable`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = DiskThreads(f"checksums {path}", place="checksums", size=1)
        self._database: sqlite3.Connection | None = None

    async def find(self, store: str, key: AssetKey) -> Digest | None:
        """Fire with the digest that is recorded of `key`, None if there is none."""
        return await self._run(partial(self._find, store, key))

    async def record(self, store: str, key: AssetKey, digest: Digest) -> None:
        """Record `digest` in place of what was recorded before."""
        await self._run(partial(_insert, _REPLACE, store, key, digest))

    async def record_new(self, store: str, key: AssetKey, digest: Digest) -> None:
        """Record `digest`, unless something has been recorded meanwhile."""
        await self._run(partial(_insert, _ADD, store, key, digest))

    async def forget(self, store: str, key: AssetKey) -> Digest | None:
        """Have nothing recorded of `key`; fires with what was."""
        return await self._run(partial(self._forget, store, key))

    async def each(self, store: str, collection: str) -> AsyncGenerator[tuple[AssetKey, Digest], None]:
        """Everything recorded of a collection in a store."""
        last = ""
        while rows := await self._run(partial(self._after, store, collection, last)):
            for name, size, sha256 in rows:
                yield AssetKey(collection, Kind.ORIGINAL, name), Digest(size, sha256)
            last = rows[-1][0]

    async def close(self) -> None:
        """Close the file."""
        if self._database:
            await self._threads.run(self._database.close)
        await self._threads.close()

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._threads.run(self._call, function)

    def _call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._database = self._database or self._open()
            return function(self._database)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the checksums cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It names files.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        # Its only thread may end and be followed by another.
        database = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        # A power cut may cost the last few records, never the file.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_SCHEMA)
        return database

    def _find(self, store: str, key: AssetKey, database: sqlite3.Connection) -> Digest | None:
        found = database.execute(
            "SELECT size, sha256 FROM checksums WHERE store = ? AND collection = ? AND name = ?",
            (store, key.collection, key.name),
        ).fetchone()
        return Digest(*found) if found else None

    def _forget(self, store: str, key: AssetKey, database: sqlite3.Connection) -> Digest | None:
        found = database.execute(
            "DELETE FROM checksums WHERE store = ? AND collection = ? AND name = ? RETURNING size, sha256",
            (store, key.collection, key.name),
        ).fetchone()
        return Digest(*found) if found else None

    def _after(
        self, store: str, collection: str, last: str, database: sqlite3.Connection
    ) -> list[tuple[str, int, str]]:
        return database.execute(
            "SELECT name, size, sha256 FROM checksums WHERE store = ? AND collection = ? AND name > ? "
            "ORDER BY name LIMIT ?",
            (store, collection, last, _AT_ONCE),
        ).fetchall()


def _insert(statement: str, store: str, key: AssetKey, digest: Digest, database: sqlite3.Connection) -> None:
    values = (store, key.collection, key.name, digest.size, digest.sha256, time.time())
    database.execute(statement, values)


@attrs.frozen
class Recorder:
    """Keeps the checksums as uploads and deletes go; does nothing without `checksums`."""

    checksums: Checksums | None = None

    _log = Logger()

    def watch(self, staged: IStagingFile) -> IStagingFile:
        """The staging file to fill, so that what is written to it can be recorded."""
        return HashedFile(staged) if self.checksums else staged

    @asynccontextmanager
    async def changing(self, store: str, key: AssetKey, staged: IStagingFile | None = None) -> AsyncIterator[None]:
        """Around the replacement of an original by `staged`, or its removal without.

        Nothing is recorded of it meanwhile: killed in between, the daemon leaves nothing that accuses a healthy file.
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
        """Forget what was recorded of `stored`, if another daemon has replaced it: `now` tells what there is."""
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
