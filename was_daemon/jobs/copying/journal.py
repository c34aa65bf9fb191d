"""What was copied and verified before, so that nobody reads it again."""

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


class Journal:
    """Which versions of a file in two stores are the same, bit for bit, as somebody found who read both.

    It is in the file `path`, or in a temporary one without it, and survives that the process is killed at any moment. A
    file that was replaced since has another version, and what is said here of it no longer counts.
    """

    def __init__(self, path: Path | None, source: IAssetStore, target: IAssetStore) -> None:
        if path:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # It names files.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(path or "", timeout=_WAIT_SECONDS, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(_SCHEMA)
        self._stores = (str(source), str(target))

    def are_same(self, key: AssetKey, source: AssetStat, target: AssetStat) -> bool:
        """Whether these versions are known to be the same."""
        found = self._database.execute(
            "SELECT source_etag, target_etag FROM same "
            "WHERE source = ? AND target = ? AND collection = ? AND kind = ? AND name = ?",
            (*self._stores, key.collection, key.kind.value, key.name),
        ).fetchone()
        return bool(found == (source.etag, target.etag))

    def add(self, key: AssetKey, source: AssetStat, target: AssetStat) -> None:
        """These versions are the same."""
        self._database.execute(
            "INSERT OR REPLACE INTO same VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*self._stores, key.collection, key.kind.value, key.name, source.etag, target.etag),
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()
