"""SQLite files, used from a thread of their own; several processes may use one file, and any of them may be killed.

    database = Database(path, "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, bytes INTEGER)", "the counts")

    def add(connection: sqlite3.Connection, name: str, size: int) -> None:
        connection.execute("UPDATE counts SET bytes = bytes + ? WHERE name = ?", (size, name))

    await database.run(add, "fish", 7)
    await database.close()

A step that writes runs with `Database.run`, as a transaction of its own that no other process comes between; what is
written often, a row at a time, goes through `Together`; a step that only reads runs with `Database.read`, or with
`Database.snapshot` if its statements belong together; neither waits for a writer. A step that raises leaves nothing
written. All raise `StoreUnavailable` when the file cannot be used, without its path, since clients may read that.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Concatenate, Generic, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import StoreUnavailable

P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")

_BUSY_SECONDS = 5.0
"""Time to wait for other processes that write, each of which takes milliseconds."""

_PAUSE_SECONDS = 0.01
"""Time between attempts to put a file in WAL mode."""

_ROOM = 1 << 16
"""Bytes that SQLite needs on a disk at least: its index of the WAL has half as many."""

_TOGETHER = 100
"""Items that one statement writes at most: SQLite allows some 30,000 values in one."""


class Database:
    """SQLite file in WAL mode, and the one thread that uses it.

    The file, readable by its owner only, and its directory are created by the first step; `path` None is a temporary
    database. `schema` is one or more statements that create what is missing; `upgrade` is called in a transaction after
    them, and brings tables of earlier versions to their form. `name` is the subject of error messages, such as "the
    checksums".
    """

    _log = Logger()

    def __init__(
        self, path: Path | None, schema: str, name: str, upgrade: Callable[[sqlite3.Connection], None] | None = None
    ) -> None:
        self.path = path
        self._schema = schema
        self._upgrade = upgrade
        self._name = name
        self._threads = DiskThreads(f"SQLite {path or name}", name.removeprefix("the "), size=1)
        self._connection: sqlite3.Connection | None = None
        # At the end, `DiskThreads` makes calls at once, in the caller's thread: two threads would break SQLite.
        self._use = RLock()
        self._opened: tuple[int, int] | None = None
        """Device and inode of the file that the connection uses."""

    def open(self) -> Deferred[None]:
        """Open the file, as the first step does otherwise; raise `StoreUnavailable` when that is not possible."""
        return self.read(lambda connection: None)

    def check(self) -> Deferred[None]:
        """Raise `StoreUnavailable` if steps that write would fail; waits for other writers as these do."""
        return self.run(write_header)

    def run(
        self, step: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Fire with the result of `step(connection, ...)`, which runs as one IMMEDIATE transaction.

        An error of the step rolls the transaction back and is passed on. Cancelling the Deferred drops the result; the
        transaction goes on to its end.
        """
        return self.read(_in_transaction, "IMMEDIATE", step, *args, **kwargs)

    def read(
        self, step: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Fire with the result of `step(connection, ...)`, which holds no lock between its statements."""
        return self._threads.run(lambda: self._call(lambda connection: step(connection, *args, **kwargs)))

    def snapshot(
        self, step: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Do as `read`; no statement of the step sees what others have written since the first one."""
        return self.read(_in_transaction, "DEFERRED", step, *args, **kwargs)

    async def close(self) -> None:
        """Close the file after the steps under way, or leave it behind if it hangs; later steps are refused."""
        closing = self._threads.run(self._disconnect)
        closing.addErrback(lambda failure: self._log.failure("{path} could not be closed", failure, path=self.path))
        await self._threads.close()

    def _call(self, step: Callable[[sqlite3.Connection], T]) -> T:
        if not self._use.acquire(blocking=False):
            raise StoreUnavailable(f"{self._name} cannot be used: it is being closed")
        try:
            if self._connection and self._identity() != self._opened:
                # The file was removed or replaced: what was written to the old one would be lost.
                self._log.warn("{path} was removed or replaced, and is opened again", path=self.path)
                self._disconnect()
                self._connection = None
            self._connection = self._connection or self._connect()
            return step(self._connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._name} cannot be used: {said_of(error, self.path)}") from error
        finally:
            self._use.release()

    def _connect(self) -> sqlite3.Connection:
        if self.path:
            try:
                _create(self.path)
            except OSError as error:
                raise StoreUnavailable(f"{self._name} cannot be used: {str(error.strerror).lower()}") from error
        # `DiskThreads` ends an idle thread and starts another for the next step.
        connection = sqlite3.connect(
            self.path or "", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            enter_wal_mode(connection)
            # A power cut may cost the last few transactions, never the file.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(self._schema)
            if self._upgrade:
                _in_transaction(connection, "IMMEDIATE", self._upgrade)
        except BaseException:
            connection.close()
            raise
        self._opened = self._identity()
        return connection

    def _identity(self) -> tuple[int, int] | None:
        """Return device and inode of the file that is there now; None without one, and for a temporary database."""
        try:
            status = self.path.stat() if self.path else None
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if status else None

    def _disconnect(self) -> None:
        with self._use:
            if self._connection:
                self._connection.close()


class Together(Generic[A, T]):
    """Rows that are written to a `Database` by one statement, those together that come while its thread is busy.

    `step(connection, items)` executes this statement, which needs no transaction around it, for at most a hundred
    items, and returns a result for each.
    """

    def __init__(self, database: Database, step: Callable[[sqlite3.Connection, Sequence[A]], Sequence[T]]) -> None:
        self._database = database
        self._step = step
        self._waiting: list[tuple[A, Deferred[T]]] = []
        self._is_running = False

    def add(self, item: A) -> Deferred[T]:
        """Fire with the result for `item`. Cancelling the Deferred drops it; the item is written all the same."""
        done: Deferred[T] = Deferred()
        self._waiting.append((item, done))
        if not self._is_running:
            self._is_running = True
            Deferred.fromCoroutine(self._run())
        return done

    async def _run(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            try:
                results = await self._database.read(self._step, [item for item, _ in taken])
            except Exception:
                for _, done in taken:
                    done.errback()
            else:
                for (_, done), result in zip(taken, results, strict=True):
                    done.callback(result)
        self._is_running = False


def consecutive(cursor: sqlite3.Cursor, count: int) -> Sequence[int]:
    """Return the numbers of the rows that one statement has inserted, which nothing can come between."""
    last = int(cursor.lastrowid or 0)
    return range(last - count + 1, last + 1)


def write_header(connection: sqlite3.Connection) -> None:
    """Write one page, the least that a change takes, and change nothing in it: on a full disk that fails, too."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")


def said_of(error: object, path: Path | None) -> str:
    """Return `error`, what SQLite says of the file `path`, and that its disk is full if that is so.

    SQLite needs a file beside it even for reading, and calls it an I/O error if there is no room.
    """
    with suppress(OSError):
        room = os.statvfs(path.parent) if path else None
        if room and room.f_bavail * room.f_frsize < _ROOM:
            return f"{error}; its disk is full"
    return str(error)


def enter_wal_mode(connection: sqlite3.Connection) -> None:
    """Put the file of a connection in WAL mode, in which it stays.

    Other processes may do the same at this moment, as at the first start of several daemons: SQLite makes a connection
    wait for another's lock, but not when both have to wait for each other.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _create(path: Path) -> None:
    """Create the file for its owner only: it holds names of assets."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _in_transaction(
    connection: sqlite3.Connection,
    mode: str,
    step: Callable[Concatenate[sqlite3.Connection, P], T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    with connection:
        connection.execute(f"BEGIN {mode}")
        return step(connection, *args, **kwargs)
