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
from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.concurrency.sqlite import enter_wal_mode
from was_daemon.model.errors import StoreUnavailable

# It writes of transactions that have collided, which are tried again.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

P = ParamSpec("P")
T = TypeVar("T")

_CONNECTIONS = 4
_TIMEOUT_SECONDS = 10
"""Seconds to wait for a server to accept a connection, and for other processes that write to a SQLite file."""

_ATTEMPTS = 3
"""Attempts at a transaction that collides with others."""

_COLLISIONS = ("40001", "40P01", 1213)
"""SQLSTATEs of PostgreSQL, and MariaDB's number, of transactions that wait for each other."""

_LOCKING = {
    "postgresql": ("SELECT pg_advisory_lock(1902346817)", "SELECT pg_advisory_unlock(1902346817)"),
    **dict.fromkeys(
        ("mysql", "mariadb"),
        ("SELECT GET_LOCK('was-daemon catalogue', 60)", "SELECT RELEASE_LOCK('was-daemon catalogue')"),
    ),
}
"""Statements that take and release the lock under which a database is migrated, by its kind."""


class CatalogueDatabase:
    """Connections to the database at `url`, whose schema is created, or migrated, before the first step.

    A SQLite file is readable by its owner only; its directory is created, too.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self._threads = DiskThreads(f"catalogue {url.render_as_string()}", "catalogue", size=_CONNECTIONS)
        self._opening = Lock()
        self._engine: Engine | None = None

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
        with _translated():
            engine = self._engine or _engine(self.url)
            with engine.begin() as connection:
                if not _has_newest_form(connection):
                    from was_daemon.catalogue.migration import require_known_form

                    require_known_form(connection)
            if engine is not self._engine:
                engine.dispose()

    def _call(self, options: dict[str, Any], step: Callable[[Connection], T]) -> T:
        with _translated():
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
            # A SQLite file that was removed is made again.
            if self._engine is None or (self.path and not self.path.exists()):
                engine = _engine(self.url)
                _bring_to_newest_form(engine)
                self._engine = engine
            return self._engine


def _transaction(engine: Engine, options: dict[str, Any], step: Callable[[Connection], T]) -> T:
    with engine.connect() as connection, connection.execution_options(**options).begin():
        return step(connection)


def _is_collision(error: DBAPIError) -> bool:
    """Return whether a transaction has failed because another one wrote the same rows, or waited for it."""
    cause: Any = error.orig
    codes = getattr(cause, "sqlstate", None), *getattr(cause, "args", ())[:1]
    return isinstance(error, IntegrityError) or any(code in _COLLISIONS for code in codes)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A directory that is missing is not an asset that is missing.
        reason = os.strerror(error.errno or 0).lower()
        raise StoreUnavailable("the catalogue cannot be used", reason) from error
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise StoreUnavailable("the catalogue cannot be used", reason) from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    # A server, or a firewall between, closes connections that are idle for long.
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": _CONNECTIONS, "max_overflow": 0}
    return create_engine(url, connect_args={"connect_timeout": _TIMEOUT_SECONDS}, hide_parameters=True, **options)


def _sqlite_engine(url: URL) -> Engine:
    path = Path(url.database or "")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # It holds names and addresses of clients.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    # Without a pool: a connection that stays open would write to a file that was replaced meanwhile.
    options: dict[str, Any] = {"connect_args": {"timeout": _TIMEOUT_SECONDS}, "poolclass": NullPool}
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


def _bring_to_newest_form(engine: Engine) -> None:
    if _transaction(engine, {"reads": True}, _has_newest_form):
        return
    # Its library takes as long to import as SQLAlchemy does, and is needed once for a version of the daemon.
    from was_daemon.catalogue.migration import migrate

    with _migration_lock(engine), engine.begin() as connection:
        migrate(connection)


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    """Keep other daemons from migrating the same database. With SQLite, the transaction does so by itself."""
    statements = _LOCKING.get(engine.dialect.name)
    if not statements:
        yield
        return
    # Released after the commit, so by a connection of its own.
    with engine.connect() as connection:
        connection.execute(text(statements[0]))
        try:
            yield
        finally:
            connection.execute(text(statements[1]))


def _has_newest_form(connection: Connection) -> bool:
    """Return whether the tables have the form that this version of the daemon uses."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return bool(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == FORM)
