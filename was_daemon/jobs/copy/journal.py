"""Journal of verified copies, which need not be read again."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from was_daemon.concurrency.sqlite import Database
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey

_SCHEMA = """
CREATE TABLE IF NOT EXISTS same (
    source TEXT, target TEXT, collection TEXT, kind TEXT, name TEXT,
    source_etag TEXT NOT NULL, target_etag TEXT NOT NULL,
    PRIMARY KEY (source, target, collection, kind, name)
) WITHOUT ROWID
"""


class CopyJournal:
    """Journal of pairs of versions, in two stores, that were read and found to have the same bytes.

    A SQLite database in the file `path`, or a temporary one when that is None. The process may be killed at any moment.
    An entry holds for the recorded versions only: a file that was replaced since is compared again. Every method may
    raise `StoreUnavailable`.
    """

    def __init__(self, path: Path | None, source: IAssetStore, target: IAssetStore) -> None:
        self._database = Database(path, _SCHEMA, "the journal of copies")
        self._stores = (str(source), str(target))

    async def open(self) -> None:
        """Open the database."""
        await self._database.open()

    async def are_same(self, key: AssetKey, source: AssetStat, target: AssetStat) -> bool:
        """Return whether these versions are recorded as the same."""
        found = await self._database.read(_find, (*self._stores, key.collection, key.kind.value, key.name))
        return found == (source.etag, target.etag)

    async def add(self, key: AssetKey, source: AssetStat, target: AssetStat) -> None:
        """Record that these versions are the same."""
        await self._database.run(
            _insert, (*self._stores, key.collection, key.kind.value, key.name, source.etag, target.etag)
        )

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()


def _find(connection: sqlite3.Connection, names: Sequence[str]) -> tuple[str, str] | None:
    found: tuple[str, str] | None = connection.execute(
        "SELECT source_etag, target_etag FROM same "
        "WHERE source = ? AND target = ? AND collection = ? AND kind = ? AND name = ?",
        names,
    ).fetchone()
    return found


def _insert(connection: sqlite3.Connection, row: Sequence[str]) -> None:
    connection.execute("INSERT OR REPLACE INTO same VALUES (?, ?, ?, ?, ?, ?, ?)", row)
