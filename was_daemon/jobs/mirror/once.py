"""What was told already by a comparison of several copies. It is on the disk: there may be a million files."""

import sqlite3

from was_daemon.concurrency.sqlite import Database
from was_daemon.model.keys import AssetKey

_SCHEMA = """
CREATE TABLE IF NOT EXISTS told (
    state TEXT NOT NULL, collection TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (state, collection, kind, name)
) WITHOUT ROWID
"""


class Once:
    """The files that were told in states that are those of the mirror, not of one of its copies."""

    def __init__(self) -> None:
        self._database = Database(None, _SCHEMA, "the temporary database of the comparison")
        # Few: a list of names has hardly any.
        self._unusable: set[str] = set()

    async def is_first(self, state: str, key: AssetKey) -> bool:
        """Fire with whether a file is told in this state for the first time, and remember it."""
        return await self._database.run(_add, state, key)

    def is_new(self, name: str) -> bool:
        """Return whether a name that no asset can have is told for the first time, and remember it."""
        is_new = name not in self._unusable
        self._unusable.add(name)
        return is_new

    async def close(self) -> None:
        """Forget everything."""
        await self._database.close()


def _add(connection: sqlite3.Connection, state: str, key: AssetKey) -> bool:
    row = (state, key.collection, key.kind.value, key.name)
    return connection.execute("INSERT OR IGNORE INTO told VALUES (?, ?, ?, ?)", row).rowcount == 1
