"""One connection for everybody: opened on demand, one attempt at a time, and not too often."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from was_daemon.model.errors import AssetError, StoreUnavailable

C = TypeVar("C")


class Reconnector(Generic[C]):
    """Gives out a connection, and makes a new one when there is none that lives.

    After a failed attempt whoever asks gets its error at once, until `shortest` seconds later the next one is made;
    with every failure this time doubles, up to `longest`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        connect: Callable[[], Coroutine[Deferred[Any], Any, C]],
        alive: Callable[[C], bool],
        shortest: float = 0.25,
        longest: float = 8.0,
    ) -> None:
        self._clock = clock
        self._connect = connect
        self._alive = alive
        self._shortest = shortest
        self._longest = longest
        self._pause = 0.0
        self._not_before = 0.0
        self._problem: AssetError | None = None
        self._attempt: Deferred[None] | None = None
        self._waiting: list[Deferred[C]] = []
        self.connection: C | None = None

    async def get(self) -> C:
        """The connection; raises what `connect` raises. Cancelling leaves the attempt to the others who wait."""
        if self.connection is not None and self._alive(self.connection):
            return self.connection
        if self._problem is not None and self._clock.seconds() < self._not_before:
            raise type(self._problem)(*self._problem.args) from self._problem
        waiter: Deferred[C] = Deferred(self._waiting_no_more)
        self._waiting.append(waiter)
        if self._attempt is None:
            attempt = Deferred.fromCoroutine(self._try())
            # One that fails before it has to wait for anything is over by now.
            self._attempt = None if attempt.called else attempt
        return await waiter

    def _waiting_no_more(self, waiter: Deferred[C]) -> None:
        self._waiting.remove(waiter)

    async def _try(self) -> None:
        result: C | Failure
        try:
            self.connection = result = await self._connect()
            self._problem, self._pause = None, 0.0
        except AssetError as error:
            result = Failure()
            self._problem = error
            self._pause = min(max(2 * self._pause, self._shortest), self._longest)
            self._not_before = self._clock.seconds() + self._pause
        except CancelledError:
            result = Failure(StoreUnavailable("the store was closed"))
        except BaseException:
            result = Failure()
        self._attempt = None
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(result)

    def close(self) -> None:
        """Give up an attempt under way; a connection that is there is left to its owner."""
        if self._attempt is not None:
            self._attempt.cancel()
