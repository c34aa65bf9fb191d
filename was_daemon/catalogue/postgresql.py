"""Connections to PostgreSQL that do not wait for ever: libpq has a limit for connecting, and none for answers."""

from collections.abc import Callable, Generator
from time import monotonic
from typing import Any

import psycopg


class BoundedConnection(psycopg.Connection[Any]):
    """Connection that is closed when a statement has no answer within `answer_seconds`."""

    answer_seconds = 30.0

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """See `psycopg.Connection.wait`, which all statements go through."""
        try:
            return super().wait(_limited(gen, self.answer_seconds), *args, **kwargs)
        except _NoAnswer:
            # The answer may still come, and would be taken for that of a later statement.
            self.close()
            raise


class _NoAnswer(psycopg.OperationalError):
    """A server that has not answered in time."""


def connector(answer_seconds: float) -> Callable[..., BoundedConnection]:
    """Return a handler of SQLAlchemy's event `do_connect`."""

    def connect(_dialect: object, _record: object, args: Any, options: Any) -> BoundedConnection:
        connection = BoundedConnection.connect(*args, **options)
        connection.answer_seconds = answer_seconds
        return connection

    return connect


def _limited(gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """Do as `gen`, a communication with the server, for so long at most."""
    try:
        waits_for = next(gen)
        deadline = monotonic() + seconds
        while True:
            # It is woken ten times a second, also when nothing has come.
            ready = yield waits_for
            if monotonic() > deadline:
                raise _NoAnswer(f"no answer within {seconds:g} s")
            waits_for = gen.send(ready)
    except StopIteration as end:
        return end.value
