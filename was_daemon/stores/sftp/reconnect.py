"""One connection shared by all requests: opened on demand, one attempt at a time, with pauses after failures."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from was_daemon.concurrency.waiting import Waiters
from was_daemon.model.errors import AssetError, StoreUnavailable

C = TypeVar("C")


class Reconnector(Generic[C]):
    """Connection that is made anew when it was lost.

    After a failed attempt `get` raises its error at once, until `shortest` seconds later the next attempt is made; with
    every failure this time doubles, up to `longest`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        connect: Callable[[], Coroutine[Deferred[Any], Any, C]],
        is_alive: Callable[[C], bool],
        shortest: float = 0.25,
        longest: float = 8.0,
    ) -> None:
        self._clock = clock
        self._connect = connect
        self._is_alive = is_alive
        self._shortest = shortest
        self._longest = longest
        self._pause = 0.0
        self._not_before = 0.0
        self._problem: AssetError | None = None
        self._attempt: Deferred[None] | None = None
        self._waiters = Waiters()
        self._result: C | Failure | None = None

    @property
    def connection(self) -> C | None:
        """Latest connection, if it is alive."""
        latest = None if isinstance(self._result, Failure) else self._result
        return latest if latest is not None and self._is_alive(latest) else None

    async def get(self) -> C:
        """Return the connection; raise what `connect` raises. Cancelling does not cancel an attempt under way."""
        if self.connection is not None:
            return self.connection
        if self._problem is not None and self._clock.seconds() < self._not_before:
            raise type(self._problem)(*self._problem.args) from self._problem
        attempted = self._waiters.add()
        if self._attempt is None:
            attempt = Deferred.fromCoroutine(self._try())
            # An attempt that fails before it has to wait for anything is over by now.
            self._attempt = None if attempt.called else attempt
        await attempted
        if isinstance(self._result, Failure):
            self._result.raiseException()
        return cast(C, self._result)

    async def _try(self) -> None:
        try:
            self._result = await self._connect()
            self._problem, self._pause = None, 0.0
        except AssetError as error:
            self._result = Failure()
            self._problem = error
            self._pause = min(max(2 * self._pause, self._shortest), self._longest)
            self._not_before = self._clock.seconds() + self._pause
        except CancelledError:
            self._result = Failure(StoreUnavailable("the store was closed"))
        except BaseException:
            self._result = Failure()
        self._attempt = None
        self._waiters.release()

    def close(self) -> None:
        """Cancel an attempt under way; an open connection is left to its owner."""
        if self._attempt is not None:
            self._attempt.cancel()
