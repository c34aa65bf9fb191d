"""A client for threads and state machines: it blocks, and says when an answer did not come or broke off."""

from collections.abc import Coroutine
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from tests.support.client import TIMEOUT, Answer, Client

T = TypeVar("T")


class NoAnswerError(Exception):
    """The server went away before its answer was complete: what was asked for may have happened or not."""


class BlockingClient(Client):
    """`Client` on blocking sockets, one for each request: its coroutines wait for nothing, `finished` takes them."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        **params: str | int | None,
    ) -> Answer:
        """See `Client`; raises `NoAnswerError`."""
        query = urlencode({name: value for name, value in params.items() if value is not None}, quote_via=quote)
        connection = HTTPConnection(*self.address, timeout=TIMEOUT)
        try:
            connection.request(method, f"{path}{'?' if query else ''}{query}", data, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except (ConnectionError, HTTPException) as error:
            raise NoAnswerError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that waits for nothing returns or raises."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("the coroutine waits for something")
