"""Records of Specify's in a catalogue, as if they had been read from its database."""

import sqlite3
import time
from pathlib import Path

import attrs

from tests.support.daemon import eventually

_PUT = """
INSERT INTO records (source, number, store, collection, name, is_public, changed, is_removed)
VALUES ('specify', ?, 'main', ?, ?, ?, ?, ?)
ON CONFLICT (source, number) DO UPDATE
SET is_public = excluded.is_public, changed = excluded.changed, is_removed = excluded.is_removed
"""


@attrs.frozen
class SpecifyRecords:
    """The records in the catalogue at `path`, a SQLite file that a daemon has made or is about to make."""

    path: Path

    def put(
        self, name: str, is_public: bool | None, *, number: int | None = None, coll: str = "", is_removed: bool = False
    ) -> None:
        """Have the record of a number say this; each name has one of its own."""
        if number is None:
            number = int.from_bytes(f"{coll}/{name}".encode()[:7])
        eventually(self._is_there, "for the tables of the catalogue")
        connection = sqlite3.connect(self.path, timeout=30)
        with connection:
            connection.execute(_PUT, (number, coll, name, is_public, time.time(), is_removed))
        connection.close()

    def _is_there(self) -> bool:
        if not self.path.exists():
            return False
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'visibility_at'").fetchone())
        finally:
            connection.close()
