"""SQL of the journal of a mirror; each function is a step of `was_daemon.concurrency.sqlite.Database`.

An asset is `collection`, `kind` and `name`. `changes` are under way; `waiting` are those that a copy lacks; `copied`
are the versions that a copy has; `copies` has the state of each copy, `users` the settings of each process.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from was_daemon.concurrency.sqlite import consecutive

SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, process TEXT NOT NULL, at REAL NOT NULL,
    collection TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, action TEXT NOT NULL, source TEXT,
    is_overtaken INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS changes_asset ON changes (collection, kind, name);
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT, copy TEXT NOT NULL,
    collection TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, action TEXT NOT NULL, source TEXT,
    at REAL NOT NULL, size INTEGER NOT NULL, is_done INTEGER NOT NULL,
    due REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, problem TEXT, is_lost INTEGER NOT NULL DEFAULT 0,
    UNIQUE (collection, kind, name, copy)
);
CREATE INDEX IF NOT EXISTS waiting_order ON waiting (copy, number);
CREATE TABLE IF NOT EXISTS copied (
    collection TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, copy TEXT NOT NULL,
    size INTEGER NOT NULL, modified REAL NOT NULL, etag TEXT NOT NULL, copy_etag TEXT NOT NULL, sha256 TEXT,
    run INTEGER NOT NULL, PRIMARY KEY (collection, kind, name, copy)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (process TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copies (
    copy TEXT PRIMARY KEY, problem TEXT NOT NULL DEFAULT '', compared REAL,
    run INTEGER NOT NULL DEFAULT 0, open_run TEXT
) WITHOUT ROWID;
"""

StepRow: TypeAlias = tuple[str, str, str, str, str | None]
"""Collection, kind and name of an asset, an action, and kind and name of the asset that it is moved from."""

WaitingRow: TypeAlias = tuple[int, str, str, str, str, str, str | None, int, int]

_ASSET = "collection = ? AND kind = ? AND name = ?"


def upgrade(connection: sqlite3.Connection) -> None:
    """Add the columns that the files of earlier versions do not have."""
    if "is_overtaken" not in {row[1] for row in connection.execute("PRAGMA table_info(changes)")}:
        connection.execute("ALTER TABLE changes ADD COLUMN is_overtaken INTEGER NOT NULL DEFAULT 0")


def add_changes(
    connection: sqlite3.Connection, process: str, changes: Sequence[tuple[float, StepRow]]
) -> Sequence[int]:
    """Add changes under way, each with its time; return their numbers."""
    rows = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(changes))
    columns = "process, at, collection, kind, name, action, source"
    values = [value for at, row in changes for value in (process, at, *row)]
    cursor = connection.execute(f"INSERT INTO changes ({columns}) VALUES {rows}", values)  # noqa: S608
    return consecutive(cursor, len(changes))


def remove_changes(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Remove changes that are not under way any more."""
    connection.executemany("DELETE FROM changes WHERE number = ?", [(number,) for number in numbers])


def overtake(connection: sqlite3.Connection, number: int, collection: str, kind: str, name: str) -> None:
    """Note that a change of an asset has ended before those that began earlier and are under way still."""
    query = f"UPDATE changes SET is_overtaken = 1 WHERE {_ASSET} AND number < ?"  # noqa: S608
    connection.execute(query, (collection, kind, name, number))


def is_overtaken(connection: sqlite3.Connection, number: int) -> bool:
    """Return whether a later change of the asset ended before this one, which is under way."""
    row = connection.execute("SELECT is_overtaken FROM changes WHERE number = ?", (number,)).fetchone()
    return bool(row and row[0])


def set_user(connection: sqlite3.Connection, process: str, settings: str) -> None:
    """Note the settings with which a process uses the journal."""
    connection.execute("INSERT OR REPLACE INTO users VALUES (?, ?)", (process, settings))


def users(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the settings of the processes that use the journal, or did when they were killed."""
    return dict(connection.execute("SELECT process, settings FROM users").fetchall())


def remove_user(connection: sqlite3.Connection, process: str) -> None:
    """Forget the settings of a process that has ended."""
    connection.execute("DELETE FROM users WHERE process = ?", (process,))


def processes(connection: sqlite3.Connection) -> list[str]:
    """Return the processes with changes under way."""
    return [row[0] for row in connection.execute("SELECT DISTINCT process FROM changes")]


def changes_of(connection: sqlite3.Connection, process: str) -> list[Any]:
    """Return number, time and `StepRow` of the changes of a process, the oldest first."""
    query = "SELECT number, at, collection, kind, name, action, source FROM changes WHERE process = ? ORDER BY number"
    return connection.execute(query, (process,)).fetchall()


def actions_begun(connection: sqlite3.Connection, collection: str, kind: str, name: str) -> dict[int, str]:
    """Return what is under way with an asset, by number."""
    query = f"SELECT number, action FROM changes WHERE {_ASSET}"  # noqa: S608
    return dict(connection.execute(query, (collection, kind, name)).fetchall())


def add_waiting(
    connection: sqlite3.Connection,
    copy: str,
    collection: str,
    kind: str,
    name: str,
    action: str,
    source: str | None,
    at: float,
    size: int,
    is_done: bool,
    is_late: bool = False,
) -> None:
    """Add a change that a copy lacks, in place of an earlier one of the asset, whose time stays.

    An upload that may not have been made does not stand for one that was, nor for a deletion; neither does a change
    that `is_late`: the one that waits began after it.
    """
    asset = (collection, kind, name, copy)
    if is_late or (action == "write" and not is_done):
        query = f"SELECT action, size, is_done FROM waiting WHERE {_ASSET} AND copy = ?"  # noqa: S608
        action, size, is_done = connection.execute(query, asset).fetchone() or (action, size, is_done)
    at_before = f"SELECT at FROM waiting WHERE {_ASSET} AND copy = ? AND NOT is_lost"  # noqa: S608
    query = (
        "INSERT OR REPLACE INTO waiting (collection, kind, name, copy, action, source, size, is_done, at) "  # noqa: S608
        f"VALUES (?, ?, ?, ?, ?, ?, ?, ?, coalesce(({at_before}), ?))"
    )
    connection.execute(query, (*asset, action, source, size, is_done, *asset, at))


def remove_waiting(connection: sqlite3.Connection, number: int) -> None:
    """Remove the change with this number; a later one of the asset has another."""
    connection.execute("DELETE FROM waiting WHERE number = ?", (number,))


def is_waiting(connection: sqlite3.Connection, number: int) -> bool:
    """Return whether the change with this number waits; a later one of the asset has another."""
    return connection.execute("SELECT 1 FROM waiting WHERE number = ?", (number,)).fetchone() is not None


def due(connection: sqlite3.Connection, copy: str, now: float, limit: int) -> list[WaitingRow]:
    """Return the oldest changes that a copy lacks and that need not wait any longer."""
    query = (
        "SELECT number, copy, collection, kind, name, action, source, is_done, attempts FROM waiting "
        "WHERE copy = ? AND due <= ? ORDER BY number LIMIT ?"
    )
    return connection.execute(query, (copy, now, limit)).fetchall()


def postpone(connection: sqlite3.Connection, number: int, problem: str, until: float, is_lost: bool) -> None:
    """Have a change wait, unless there is a later one."""
    connection.execute(
        "UPDATE waiting SET problem = ?, due = ?, is_lost = ?, attempts = attempts + 1 WHERE number = ?",
        (problem, until, is_lost, number),
    )


def defer(connection: sqlite3.Connection, number: int, until: float) -> None:
    """Have a change wait, unless there is a later one."""
    connection.execute("UPDATE waiting SET due = ? WHERE number = ?", (until, number))


def actions_waiting(
    connection: sqlite3.Connection, collection: str, kind: str, name: str
) -> dict[str, tuple[str, bool]]:
    """Return what waits to be done with an asset, by copy, and whether the primary has done it."""
    query = f"SELECT copy, action, is_done FROM waiting WHERE {_ASSET}"  # noqa: S608
    rows = connection.execute(query, (collection, kind, name))
    return {copy: (action, bool(is_done)) for copy, action, is_done in rows}


def copied(connection: sqlite3.Connection, collection: str, kind: str, name: str) -> list[Any]:
    """Return the copies that have an asset, each with its version."""
    query = f"SELECT copy, size, modified, etag, copy_etag, sha256 FROM copied WHERE {_ASSET}"  # noqa: S608
    return connection.execute(query, (collection, kind, name)).fetchall()


def copied_in(connection: sqlite3.Connection, copy: str, collection: str, kind: str, name: str) -> Any:
    """Return the version of an asset in a copy, and the comparison that found it last; None without one."""
    query = f"SELECT size, modified, etag, copy_etag, sha256, run FROM copied WHERE {_ASSET} AND copy = ?"  # noqa: S608
    return connection.execute(query, (collection, kind, name, copy)).fetchone()


def set_copied(
    connection: sqlite3.Connection,
    copy: str,
    collection: str,
    kind: str,
    name: str,
    version: Sequence[Any] | None,
    run: int = 0,
) -> None:
    """Set the version of an asset that a copy has; None for no such asset."""
    place = (collection, kind, name, copy)
    if version is None:
        connection.execute(f"DELETE FROM copied WHERE {_ASSET} AND copy = ?", place)  # noqa: S608
    else:
        values = (*place, *version, run)
        connection.execute("INSERT OR REPLACE INTO copied VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def summary(connection: sqlite3.Connection, copy: str) -> tuple[int, int, float | None, int, int, str | None]:
    """Return number, bytes and time of the changes that a copy lacks, how many fail and are lost, and a reason."""
    files, size, oldest, failing = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0), min(at), count(problem) FROM waiting WHERE copy = ? AND NOT is_lost",
        (copy,),
    ).fetchone()
    (lost,) = connection.execute("SELECT count(*) FROM waiting WHERE copy = ? AND is_lost", (copy,)).fetchone()
    query = "SELECT problem FROM waiting WHERE copy = ? AND problem IS NOT NULL AND NOT is_lost LIMIT 1"
    why = connection.execute(query, (copy,)).fetchone() if failing else None
    return files, size, oldest, failing, lost, why[0] if why else None


def set_problem(connection: sqlite3.Connection, copy: str, problem: str) -> None:
    """Set why the last attempt in a copy failed."""
    query = (
        "INSERT INTO copies (copy, problem) VALUES (?, ?) ON CONFLICT (copy) DO UPDATE SET problem = excluded.problem"
    )
    connection.execute(query, (copy, problem))


def copy_row(connection: sqlite3.Connection, copy: str) -> tuple[str, float | None]:
    """Return why the last attempt in a copy failed, and when all of it was compared."""
    row = connection.execute("SELECT problem, compared FROM copies WHERE copy = ?", (copy,)).fetchone()
    return (row[0], row[1]) if row else ("", None)


def compared(connection: sqlite3.Connection) -> set[str]:
    """Return the copies all of whose assets are known."""
    return {row[0] for row in connection.execute("SELECT copy FROM copies WHERE compared IS NOT NULL")}


def begin_run(connection: sqlite3.Connection, copy: str, what: str) -> int:
    """Return the number of the comparison that goes on, if it is of the same, or of a new one."""
    row = connection.execute("SELECT run, open_run FROM copies WHERE copy = ?", (copy,)).fetchone()
    run, before = row or (0, None)
    if before != what:
        run += 1
        connection.execute(
            "INSERT INTO copies (copy, run, open_run) VALUES (?, ?, ?) "
            "ON CONFLICT (copy) DO UPDATE SET run = excluded.run, open_run = excluded.open_run",
            (copy, run, what),
        )
    return int(run)


def end_run(connection: sqlite3.Connection, copy: str, now: float | None) -> None:
    """End the comparison of a copy; `now` is None if it was not one of all assets."""
    query = "UPDATE copies SET open_run = NULL, compared = coalesce(?, compared) WHERE copy = ?"
    connection.execute(query, (now, copy))
