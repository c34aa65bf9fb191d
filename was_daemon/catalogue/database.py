"""Database of the catalogue: SQLite, PostgreSQL or MariaDB, used from threads.

    database = CatalogueDatabase(make_url("sqlite:////var/lib/was-daemon/catalogue.sqlite"))

    def rename(connection: Connection, before: str, after: str) -> None:
        connection.execute(update(assets).where(assets.c.name == before).values(name=after))

    await database.run(rename, "a.jpg", "b.jpg")
    await database.close()

Every step is one transaction. All raise `StoreUnavailable` when the database cannot be used.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from twisted.internet.defer import Deferred

from was_daemon.catalogue.schema import FORM
from was_daemon.catalogue.servers import UnreadablePassword, name_of, server_engine, words_of
from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.concurrency.sqlite import enter_wal_mode, said_of, write_header
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import StoreUnavailable

# It writes of transactions that have collided, which are tried again.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

P = ParamSpec("P")
T = TypeVar("T")

_CONNECTIONS = 4
_BUSY_SECONDS = 10
"""Seconds to wait for other processes that write to a SQLite file."""

_MIGRATION_SECONDS = 3600
"""Seconds within which a server has to carry out a statement that changes tables of millions of rows."""

_LOCK_SECONDS, _LOCK_PAUSE_SECONDS = 30.0, 0.25
"""Seconds to wait for another daemon that migrates the same database, and between two looks."""

_ATTEMPTS = 3
"""Attempts at a transaction that collides with others."""

_COLLISIONS = ("40001", "40P01", 1213)
"""SQLSTATEs of PostgreSQL, and MariaDB's number, of transactions that wait for each other."""

_LOCKING = {
    "postgresql": ("SELECT pg_try_advisory_lock(1902346817)", "SELECT pg_advisory_unlock(1902346817)"),
    **dict.fromkeys(
        ("mysql", "mariadb"),
        ("SELECT GET_LOCK('was-daemon catalogue', 0)", "SELECT RELEASE_LOCK('was-daemon catalogue')"),
    ),
}
"""Statements that try to take, and release, the lock under which a database is migrated, by its kind."""

_UNUSABLE = "the catalogue cannot be used"


class CatalogueDatabase:
    """Connections to the database at `url`, whose schema is created, or migrated, before the first step.

    The password of a server's is in `password_file`, if not in `url`. A SQLite file is readable by its owner only; its
    directory is created, too.
    """

    def __init__(self, url: URL, password_file: SecretFile | None = None) -> None:
        self.url = url
        self._password_file = password_file
        self.path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self._threads = DiskThreads(f"catalogue {url.render_as_string()}", "catalogue", size=_CONNECTIONS)
        self._opening = Lock()
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None
        """Device and inode of the SQLite file that the engine uses."""

    def run(self, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Fire with the result of `step(connection, ...)`; nothing is written if it raises."""
        return self._threads.run(lambda: self._call({}, lambda connection: step(connection, *args, **kwargs)))

    def read(self, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Do as `run` for a step that only reads: it waits for no writer."""
        options = {"reads": True}
        return self._threads.run(lambda: self._call(options, lambda connection: step(connection, *args, **kwargs)))

    def check(self) -> Deferred[None]:
        """Raise `StoreUnavailable` if the database cannot be written to; the schema is left as it is."""
        return self._threads.run(self._check)

    async def close(self) -> None:
        """Close the connections after the steps under way; later steps are refused."""
        await self._threads.close()
        if self._engine:
            self._engine.dispose()

    def _check(self) -> None:
        with self._translated():
            with self._opening:
                ready = self._usable_engine()
            engine = ready or _engine(self.url, self._password_file)
            with engine.begin() as connection:
                if not _has_newest_form(connection):
                    from was_daemon.catalogue.migration import require_known_form

                    require_known_form(connection)
                if self.path:
                    _write_header(connection)
            if not ready:
                engine.dispose()

    def _call(self, options: dict[str, Any], step: Callable[[Connection], T]) -> T:
        with self._translated():
            engine = self._ready_engine()
            for _ in range(_ATTEMPTS - 1):
                try:
                    return _transaction(engine, options, step)
                except DBAPIError as error:
                    if not _is_collision(error):
                        raise
            return _transaction(engine, options, step)

    def _ready_engine(self) -> Engine:
        with self._opening:
            engine = self._usable_engine()
            if not engine:
                engine = _engine(self.url, self._password_file)
                self._bring_to_newest_form(engine)
                self._engine, self._file = engine, self._current_file()
            return engine

    def _usable_engine(self) -> Engine | None:
        """Return the engine; None without one, or if the SQLite file that it uses was removed or replaced."""
        if self._engine and self._file != self._current_file():
            self._engine.dispose()
            self._engine = None
        return self._engine

    def _current_file(self) -> tuple[int, int] | None:
        """Return device and inode of the SQLite file that is there now; None without one."""
        try:
            status = self.path.stat() if self.path else None
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if status else None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # A directory that is missing is not an asset that is missing.
            raise self._error(os.strerror(error.errno or 0).lower()) from error
        except UnreadablePassword as error:
            raise self._error(str(error)) from error
        except SQLAlchemyError as error:
            raise self._error(said_of(words_of(error), self.path)) from error

    def _bring_to_newest_form(self, engine: Engine) -> None:
        if _transaction(engine, {"reads": True}, _has_newest_form):
            return
        # Its library takes as long to import as SQLAlchemy does, and is needed once for a version of the daemon.
        from was_daemon.catalogue.migration import migrate

        patient = _engine(self.url, self._password_file, _MIGRATION_SECONDS)
        with _migration_lock(engine), patient.begin() as connection:
            migrate(connection)
        patient.dispose()

    def _error(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(_UNUSABLE, f"{self.path or name_of(self.url)}: {reason}")


def _transaction(engine: Engine, options: dict[str, Any], step: Callable[[Connection], T]) -> T:
    with engine.connect() as connection, connection.execution_options(**options).begin():
        return step(connection)


def _is_collision(error: DBAPIError) -> bool:
    """Return whether a transaction has failed because another one wrote the same rows, or waited for it."""
    cause: Any = error.orig
    codes = getattr(cause, "sqlstate", None), *getattr(cause, "args", ())[:1]
    return isinstance(error, IntegrityError) or any(code in _COLLISIONS for code in codes)


def _engine(url: URL, password_file: SecretFile | None = None, answer_seconds: float | None = None) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    # A server, or a firewall between, closes connections that are idle for long.
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": _CONNECTIONS, "max_overflow": 0}
    return server_engine(url, answer_seconds, password_file, **options)


def _write_header(connection: Connection) -> None:
    file = connection.connection.driver_connection
    assert isinstance(file, sqlite3.Connection)  # noqa: S101 - there is a path
    write_header(file)


def _sqlite_engine(url: URL) -> Engine:
    path = Path(url.database or "")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # It holds names and addresses of clients.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    # Without a pool: a connection that stays open would write to a file that was replaced meanwhile, and what is left
    # of the log of the former file would be taken for that of the new one.
    options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}, "poolclass": NullPool}
    engine = create_engine(url, hide_parameters=True, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver would begin transactions late, and commit before statements that change the schema.
        connection.isolation_level = None
        enter_wal_mode(connection)
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes then could fail in the middle, instead of waiting at its start.
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    """Keep other daemons from migrating the same database. With SQLite, the transaction does so by itself."""
    statements = _LOCKING.get(engine.dialect.name)
    if not statements:
        yield
        return
    # Released after the commit, so by a connection of its own.
    with engine.connect() as connection:
        _take_lock(connection, statements[0])
        try:
            yield
        finally:
            connection.execute(text(statements[1]))


def _take_lock(connection: Connection, statement: str) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while not connection.scalar(text(statement)):
        if time.monotonic() > deadline:
            reason = "another daemon changes its tables for this version: wait until it is done"
            raise StoreUnavailable(_UNUSABLE, reason)
        time.sleep(_LOCK_PAUSE_SECONDS)


def _has_newest_form(connection: Connection) -> bool:
    """Return whether the tables have the form that this version of the daemon uses."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return bool(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == FORM)
