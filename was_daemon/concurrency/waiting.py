"""Waiting for the work of others: a waiter may leave, and the work goes on."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

T = TypeVar("T")


def shield(work: Deferred[T], unclaimed: Callable[[T | Failure], object] | None = None) -> Deferred[T]:
    """Return a Deferred that fires with the result of `work`, and that may be cancelled without cancelling `work`.

    After a cancellation the result goes to `unclaimed`, or is dropped. `work` itself goes on with None.
    """
    waiter: Deferred[T] = Deferred()

    def deliver(result: T | Failure) -> None:
        if not waiter.called:
            waiter.callback(result)
        elif unclaimed:
            unclaimed(result)

    work.addBoth(deliver)
    return waiter


async def together(works: Iterable[Deferred[T]]) -> list[T]:
    """Fire with the results of all `works`; the first error of one of them is raised as it is.

    A cancellation cancels all of them.
    """
    try:
        return await gatherResults(works, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()


class Waiters:
    """Deferreds that fire together."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def add(self) -> Deferred[None]:
        """Return a Deferred that fires at the next `release`, unless it is cancelled before."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def release(self) -> None:
        """Fire all Deferreds, those that are added meanwhile, too."""
        while self._waiting:
            self._waiting.pop(0).callback(None)
