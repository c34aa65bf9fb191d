"""Checksums that earlier versions recorded in a SQLite file of their own."""

import sqlite3
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path

from twisted.internet.threads import deferToThread

from was_daemon.catalogue.events import Event, EventKind
from was_daemon.concurrency.sqlite import Database
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind

_PAGE_ROWS = 1000


async def old_checksums(path: Path) -> AsyncGenerator[list[Event], None]:
    """Yield the checksums in the file at `path` as events, in pages; nothing if there is no such file.

    Each event has the same source whenever it is read, so that the catalogue records it once. Raises
    `StoreUnavailable`.
    """
    if not await deferToThread(path.exists):
        return
    database = Database(path, "", "the file of checksums")
    try:
        last = ("", "", "")
        while rows := await database.read(_page, last):
            yield [_event(*row) for row in rows]
            last = rows[-1][:3]
    finally:
        await database.close()


def set_aside(path: Path) -> None:
    """Rename a file that has been read whole, so that it is not read again."""
    path.replace(path.with_name(f"{path.name}.in-catalogue"))


def _page(connection: sqlite3.Connection, last: tuple[str, str, str]) -> list[tuple[str, str, str, int, str, float]]:
    return connection.execute(
        "SELECT store, collection, name, size, sha256, recorded FROM checksums "
        "WHERE (store, collection, name) > (?, ?, ?) ORDER BY store, collection, name LIMIT ?",
        (*last, _PAGE_ROWS),
    ).fetchall()


def _event(store: str, collection: str, name: str, size: int, digest: str, recorded: float) -> Event:
    source = sha256("\0".join([store, collection, name, digest, repr(recorded)]).encode()).hexdigest()
    key = AssetKey(collection, Kind.ORIGINAL, name)
    return Event(source, recorded, EventKind.FOUND, store, key, Digest(size, digest))
