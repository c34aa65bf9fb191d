"""Calls that are made together."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """Calls of `work`, which gets the items of all that have waited while another was under way.

    It fires with the results in their order; an error is that of each item. So a disk that is slow to write is asked
    less often, not more often, the more there is to do.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._work = work
        self._waiting: list[tuple[T, Deferred[R]]] = []
        self._is_at_work = False

    def add(self, item: T) -> Deferred[R]:
        """Have an item done; fire with its result. Cancelling the Deferred drops the result."""
        waiter: Deferred[R] = Deferred()
        self._waiting.append((item, waiter))
        if not self._is_at_work:
            self._is_at_work = True
            Deferred.fromCoroutine(self._run())
        return waiter

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                results = await self._work([item for item, _ in batch])
            except Exception:
                failure = Failure()
                for _, waiter in batch:
                    if not waiter.called:
                        waiter.errback(failure)
            else:
                for (_, waiter), result in zip(batch, results, strict=True):
                    if not waiter.called:
                        waiter.callback(result)
        self._is_at_work = False
