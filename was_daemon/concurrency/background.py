"""Work in the background, for which no caller waits."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from was_daemon.concurrency.waiting import shield

T = TypeVar("T")


class BackgroundTasks:
    """Set of coroutines under way."""

    def __init__(self) -> None:
        self._tasks: set[Deferred[Any]] = set()

    @property
    def number(self) -> int:
        """The number of tasks under way."""
        return len(self._tasks)

    def start(self, work: Coroutine[Deferred[Any], Any, object]) -> None:
        """Begin `work`, which handles its own errors; one that it raises is logged as an unhandled error."""
        self.add(work).addErrback(lambda failure: failure.trap(CancelledError))

    def add(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Begin `work`; return the Deferred of its result, whose errors the caller handles."""
        task = Deferred.fromCoroutine(work)
        self._tasks.add(task)

        def end(result: T | Failure) -> T | Failure:
            self._tasks.discard(task)
            return result

        return task.addBoth(end)

    def cancel(self) -> None:
        """Cancel all tasks under way."""
        for task in list(self._tasks):
            task.cancel()

    async def settled(self) -> None:
        """Wait until the tasks that are under way now have ended."""
        for task in list(self._tasks):
            await shield(task)

    async def finish(self) -> None:
        """Wait until no task is under way, also none that was started meanwhile."""
        while self._tasks:
            await self.settled()
