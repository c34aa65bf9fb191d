"""The record of quotas: what the collections have, in one SQLite file for all daemons of a machine with the same spool.

Each step is one transaction, so a process that is killed leaves all of it or nothing. The rows of a process carry its
identifier. Those of a killed process are removed when another one would be refused because of them; a collection in
which it was changing an original is counted again.
"""

import sqlite3
import time

import attrs

from was_daemon.model.errors import QuotaExceeded
from was_daemon.model.sizes import readable
from was_daemon.stores.local.process_lock import ProcessLock

_COUNT_SHARE = 20
"""A count takes at most one of so many parts of the time: one that takes long is repeated less often."""

_RETRY_SECONDS = 300.0
"""A collection that could not be counted is tried again after this time at the latest."""

SCHEMA = """
-- place: the collection's identifier. used: bytes of originals, NULL before the first count. counter: the process that
-- counts, since began. added, removed: bytes by which originals have grown and shrunk since then. counted, pause: when
-- the last count ended, and how many seconds it is good for. Times are of the machine's monotonic clock.
CREATE TABLE IF NOT EXISTS collections (
    place TEXT PRIMARY KEY, used INTEGER, counter TEXT, began REAL, added INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0, counted REAL, pause REAL
) WITHOUT ROWID;
-- Bytes that are reserved for uploads under way.
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, place TEXT NOT NULL, process TEXT NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
-- Originals that a process is replacing or deleting, by how many bytes they grow; no other process changes them.
CREATE TABLE IF NOT EXISTS changes (
    place TEXT, name TEXT, process TEXT NOT NULL, growth INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (place, name)
) WITHOUT ROWID;
"""

_RESERVED = """
SELECT (SELECT coalesce(sum(size), 0) FROM uploads WHERE place = :collection_id AND id != :upload)
    + (SELECT coalesce(sum(max(0, growth)), 0) FROM changes WHERE place = :collection_id)
"""
"""Bytes that uploads and changes under way may add, without those of one upload."""

_CHANGING = """
SELECT coalesce(sum(max(0, growth)), 0), coalesce(sum(min(0, growth)), 0) FROM changes WHERE place = ?
"""

_GROW = """
UPDATE collections SET used = used + :growth, added = added + max(0, :growth), removed = removed + min(0, :growth)
WHERE place = :collection_id
"""

_MOVE = "UPDATE collections SET added = added + :moved, removed = removed - :moved WHERE place = :collection_id"
"""A count may have seen bytes that were moved within the collection twice, or not at all."""

_OWN_CHANGE = "FROM changes WHERE place = ? AND name = ? AND process = ?"

_OTHERS = """
SELECT process FROM uploads UNION SELECT process FROM changes
UNION SELECT counter FROM collections WHERE counter IS NOT NULL EXCEPT SELECT ?
"""


@attrs.frozen
class QuotaRecord:
    """The steps of the process of `lock`, to be run as transactions.

    `collection_id` is a text that names a collection in all processes; see `Quota.collection_id`.
    """

    lock: ProcessLock

    @property
    def process(self) -> str:
        """The identifier of this process."""
        return self.lock.identifier

    # -- uploads -------------------------------------------------------------------------------------------------------

    def reserve(self, database: sqlite3.Connection, upload: str, collection_id: str, quota: int, size: int) -> bool:
        """Reserve `size` bytes for an upload, in place of what it had; return whether they fit.

        If they do not, its reservation ends at once: otherwise two uploads that grow could be refused for each other.
        """
        self.lock.acquire()
        known = database.execute("SELECT size FROM uploads WHERE id = ?", (upload,)).fetchone()
        if size > (known[0] if known else 0) and not self._has_room(database, upload, collection_id, quota, size):
            self.release(database, upload)
            return False
        database.execute("REPLACE INTO uploads VALUES (?, ?, ?, ?)", (upload, collection_id, self.process, size))
        return True

    def release(self, database: sqlite3.Connection, upload: str) -> None:
        """Remove the reservation of an upload, if there is one."""
        database.execute("DELETE FROM uploads WHERE id = ?", (upload,))

    def _has_room(self, database: sqlite3.Connection, upload: str, collection_id: str, quota: int, size: int) -> bool:
        """Return whether `size` bytes more fit; before the first count everything fits."""
        if _fits(database, upload, collection_id, quota, size):
            return True
        self.remove_ended_processes(database)
        return _fits(database, upload, collection_id, quota, size)

    # -- changes -------------------------------------------------------------------------------------------------------

    def claim(self, database: sqlite3.Connection, collection_id: str, name: str) -> bool:
        """Keep other processes from changing an original; return False while another one does."""
        self.lock.acquire()
        row = database.execute(
            "SELECT process FROM changes WHERE place = ? AND name = ?", (collection_id, name)
        ).fetchone()
        if row:
            if row[0] != self.process and self.lock.is_alive(row[0]):
                return False
            # It has been killed, or could not record the end of its change.
            self._forget_change(database, collection_id, name)
        database.execute(
            "INSERT INTO changes (place, name, process) VALUES (?, ?, ?)", (collection_id, name, self.process)
        )
        return True

    def begin(
        self, database: sqlite3.Connection, collection_id: str, name: str, quota: int, growth: int, upload: str
    ) -> None:
        """Record that a claimed original is about to grow by `growth` bytes; raises `QuotaExceeded`.

        The reservation of `upload` ends.
        """
        if growth > 0 and not self._has_room(database, upload, collection_id, quota, growth):
            raise refusal(quota, collection_id)
        self.release(database, upload)
        database.execute("UPDATE changes SET growth = ? WHERE place = ? AND name = ?", (growth, collection_id, name))

    def end(self, database: sqlite3.Connection, collection_id: str, name: str, happened: bool, moved: int = 0) -> None:
        """Record that an original was changed, or was not; the claim ends. Without a claim this does nothing.

        `moved` bytes went to the trash or came from there, where they count, too.
        """
        row = collection_id, name, self.process
        growth = database.execute(f"SELECT growth {_OWN_CHANGE}", row).fetchone()
        if happened and growth:
            database.execute(_GROW, {"growth": growth[0], "collection_id": collection_id})
            database.execute(_MOVE, {"moved": moved, "collection_id": collection_id})
        database.execute(f"DELETE {_OWN_CHANGE}", row)

    def _forget_change(self, database: sqlite3.Connection, collection_id: str, name: str) -> None:
        """End a change of which nobody knows whether it happened: it counts in full until the collection is counted."""
        of = collection_id, name
        (growth,) = database.execute("SELECT growth FROM changes WHERE place = ? AND name = ?", of).fetchone()
        database.execute(_GROW, {"growth": max(0, growth), "collection_id": collection_id})
        # A count under way may have come to the original before.
        database.execute("UPDATE collections SET counted = NULL, counter = NULL WHERE place = ?", (collection_id,))
        database.execute("DELETE FROM changes WHERE place = ? AND name = ?", of)

    # -- killed processes ----------------------------------------------------------------------------------------------

    def remove_ended_processes(self, database: sqlite3.Connection) -> None:
        """Remove what killed processes have left."""
        for (process,) in database.execute(_OTHERS, (self.process,)).fetchall():
            if not self.lock.is_alive(process):
                self._remove(database, process)

    def leave(self, database: sqlite3.Connection) -> None:
        """Remove all that is of this process, which ends."""
        self._remove(database, self.process)
        self.lock.release()

    def _remove(self, database: sqlite3.Connection, process: str) -> None:
        for change in database.execute("SELECT place, name FROM changes WHERE process = ?", (process,)).fetchall():
            self._forget_change(database, *change)
        database.execute("DELETE FROM uploads WHERE process = ?", (process,))
        database.execute("UPDATE collections SET counter = NULL WHERE counter = ?", (process,))

    # -- counts --------------------------------------------------------------------------------------------------------

    def begin_count(self, database: sqlite3.Connection, collection_id: str, since: float) -> bool:
        """Begin to count a collection, if that is due and no other process is at it; return whether it was begun.

        A count is due when the last one, by whichever process, ended before `since` or is good no longer.
        """
        self.lock.acquire()
        database.execute("INSERT OR IGNORE INTO collections (place) VALUES (?)", (collection_id,))
        counter, counted, pause = database.execute(
            "SELECT counter, counted, pause FROM collections WHERE place = ?", (collection_id,)
        ).fetchone()
        now = time.monotonic()
        # The clock of before the machine's last start may have been later.
        is_good = counted is not None and since <= counted <= now < counted + pause
        if is_good or (counter and counter != self.process and self.lock.is_alive(counter)):
            return False
        begin = "UPDATE collections SET counter = ?, began = ?, added = 0, removed = 0 WHERE place = ?"
        database.execute(begin, (self.process, now, collection_id))
        return True

    def end_count(self, database: sqlite3.Connection, collection_id: str, found: int | None, interval: float) -> None:
        """Record that `found` bytes were counted, None when that was not possible; good for `interval` seconds."""
        row = database.execute(
            "SELECT used, added, removed, began FROM collections WHERE place = ? AND counter = ?",
            (collection_id, self.process),
        ).fetchone()
        if row is None:
            return
        used, added, removed, began = row
        now = time.monotonic()
        pause = min(interval, _RETRY_SECONDS)
        if found is not None:
            used = reconciled_size(
                used, found, added, removed, *database.execute(_CHANGING, (collection_id,)).fetchone()
            )
            pause = max(interval, (_COUNT_SHARE - 1) * (now - began))
        end = "UPDATE collections SET used = ?, counter = NULL, counted = ?, pause = ? WHERE place = ?"
        database.execute(end, (used, now, pause, collection_id))

    def drop_count(self, database: sqlite3.Connection, collection_id: str) -> None:
        """Leave a count that was begun to other processes."""
        drop = "UPDATE collections SET counter = NULL WHERE place = ? AND counter = ?"
        database.execute(drop, (collection_id, self.process))

    def used(self, database: sqlite3.Connection) -> dict[str, int | None]:
        """Return the bytes of originals of each collection; None for one that was not counted yet."""
        return dict(database.execute("SELECT place, used FROM collections"))


def refusal(quota: int, collection_id: str) -> QuotaExceeded:
    """Return the error for an upload that does not fit into the `quota` bytes of a collection."""
    message = f"the upload does not fit into the collection's quota of {readable(quota)}"
    directory = collection_id.rpartition("\n")[2]
    return QuotaExceeded(message, f"{message} in the directory {directory}" if directory else message)


def _fits(database: sqlite3.Connection, upload: str, collection_id: str, quota: int, size: int) -> bool:
    known = database.execute("SELECT used FROM collections WHERE place = ?", (collection_id,)).fetchone()
    if known is None or known[0] is None:
        return True
    reserved: int = database.execute(_RESERVED, {"collection_id": collection_id, "upload": upload}).fetchone()[0]
    return bool(known[0] + reserved + size <= quota)


def reconciled_size(used: int | None, found: int, added: int, removed: int, growing: int, shrinking: int) -> int:
    """Return how many bytes a collection has in which a count has found `found` while originals changed.

    `added` and `removed` (negative) are of changes that ended meanwhile, `growing` and `shrinking` (negative) of those
    under way. The count has seen each of them or has not. `used`, the sum of known changes, is exact as long as nobody
    else changes the store, and is given up only when it does not lie between the two.
    """
    least = found + removed - growing
    most = found + added - shrinking
    return max(0, most if used is None else min(max(used, least), most))
