"""Journal of verified copies, which need not be read again."""

import os
import sqlite3
from pathlib import Path

from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey

_WAIT_SECONDS = 30.0

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
    An entry holds for the recorded versions only: a file that was replaced since is compared again.
    """

    def __init__(self, path: Path | None, source: IAssetStore, target: IAssetStore) -> None:
        if path:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The database names assets, so only its owner may read it.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(path or "", timeout=_WAIT_SECONDS, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(_SCHEMA)
        self._stores = (str(source), str(target))

    def are_same(self, key: AssetKey, source: AssetStat, target: AssetStat) -> bool:
        """Return whether these versions are recorded as the same."""
        found = self._database.execute(
            "SELECT source_etag, target_etag FROM same "
            "WHERE source = ? AND target = ? AND collection = ? AND kind = ? AND name = ?",
            (*self._stores, key.collection, key.kind.value, key.name),
        ).fetchone()
        return bool(found == (source.etag, target.etag))

    def add(self, key: AssetKey, source: AssetStat, target: AssetStat) -> None:
        """Record that these versions are the same."""
        self._database.execute(
            "INSERT OR REPLACE INTO same VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*self._stores, key.collection, key.kind.value, key.name, source.etag, target.etag),
        )

    def close(self) -> None:
        """Close the database."""
        self._database.close()
