"""Connections to database servers, with a limit on every wait.

A server that hangs, or that has vanished from the network, gives no error by itself.
"""

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Timer
from time import monotonic
from typing import Any

from sqlalchemy import URL, Engine, ExceptionContext, create_engine, event, make_url

from was_daemon.config.secret_files import SecretFile

CONNECT_SECONDS = 10
ANSWER_SECONDS = 30
"""Seconds within which a server has to answer a statement; a page of a table of millions of rows takes less than one.
It is also the time for the greeting of a MariaDB that accepts a connection."""

_DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql", "mysql": "mysql+pymysql"}

_TIMEOUT = re.compile("timed out|timeout expired|no answer within")
_ADVICE = "see whether the server hangs or is overloaded, and whether a firewall is in between"


class UnreadablePassword(Exception):
    """A file with a password that cannot be read."""


def server_url(address: str) -> URL:
    """Return the URL for SQLAlchemy of an address such as "mariadb://was@db.example.org/was"."""
    url = make_url(address)
    return url.set(drivername=_DRIVERS[url.get_backend_name()])


def server_engine(
    url: URL, answer_seconds: float | None = None, password_file: SecretFile | None = None, **options: Any
) -> Engine:
    """Return an engine for PostgreSQL or MariaDB; a statement fails without an answer within `answer_seconds`.

    The password is read at each connection, so a new one counts at once; connecting may raise `UnreadablePassword`.
    `options` are those of `create_engine`.
    """
    seconds = answer_seconds or ANSWER_SECONDS
    limits: dict[str, float] = {"connect_timeout": CONNECT_SECONDS}
    is_postgresql = url.get_backend_name() == "postgresql"
    if not is_postgresql:
        limits |= {"read_timeout": seconds, "write_timeout": seconds}
    engine = create_engine(url, connect_args=limits, hide_parameters=True, **options)
    if password_file:
        event.listen(engine, "do_connect", _password_reader(password_file))
    if is_postgresql:
        # Its driver is imported only by those who use it.
        from was_daemon.catalogue.postgresql import connector

        event.listen(engine, "do_connect", connector(seconds))
    else:
        _limit_answers(engine, seconds)
    return engine


def _limit_answers(engine: Engine, seconds: float) -> None:
    """Hang up when a statement has no whole answer within `seconds`: PyMySQL limits the wait for each piece of it."""

    @event.listens_for(engine, "before_cursor_execute")
    def begin(_connection: object, cursor: Any, _statement: object, _values: object, context: Any, _many: bool) -> None:
        context.limit = _Limit(cursor.connection, seconds)
        context.limit.start()

    @event.listens_for(engine, "after_cursor_execute")
    def end(*arguments: Any) -> None:
        arguments[4].limit.cancel()

    @event.listens_for(engine, "handle_error")
    def fail(error: ExceptionContext) -> None:
        limit: _Limit | None = getattr(error.execution_context, "limit", None)
        if limit:
            limit.cancel()
            if error.is_disconnect and limit.has_passed:
                error.original_exception.args = (f"no answer within {seconds:g} s",)


class _Limit(Timer):
    """Thread that ends a connection of PyMySQL after `seconds`, unless it is cancelled before."""

    def __init__(self, connection: Any, seconds: float) -> None:
        super().__init__(seconds, _hang_up, (connection._sock,))
        self.daemon = True
        self._end = monotonic() + seconds

    @property
    def has_passed(self) -> bool:
        """Whether the time is over."""
        return monotonic() >= self._end


def _hang_up(connected: socket.socket) -> None:
    with suppress(OSError):
        # Not the method of TLS, which would take the session from the thread that reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _password_reader(file: SecretFile) -> Callable[..., None]:
    """Return a handler of SQLAlchemy's event `do_connect`."""

    def enter(_dialect: object, _record: object, _args: object, parameters: dict[str, Any]) -> None:
        try:
            parameters["password"] = file.text()
        except OSError as error:
            raise UnreadablePassword(f"{file} cannot be read: {str(error.strerror).lower()}") from error
        except UnicodeDecodeError as error:
            raise UnreadablePassword(f"{file} is not in UTF-8") from error

    return enter


def words_of(error: Exception) -> str:
    """Return what a driver says of an error, in one line, with advice if the server has not answered."""
    cause = getattr(error, "orig", None) or error
    # Those of PyMySQL have a number first.
    said = " ".join(str((cause.args or (cause,))[-1]).split())
    return f"{said}; {_ADVICE}" if _TIMEOUT.search(said) else said


def name_of(url: URL) -> str:
    """Return the address of a database as people write it, without the password."""
    return url.set(drivername=url.get_backend_name()).render_as_string()
