"""Making derivatives once for all requests that ask for them at the same time."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from was_daemon.concurrency.frames import release_frames
from was_daemon.derivatives.kinds import Recipe
from was_daemon.model.errors import AssetError
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.workers.fair_queue import Job

Made: TypeAlias = dict[Recipe, MemoryReader]
"""Published derivatives by recipe, without those that are too large to be kept in memory."""

T = TypeVar("T")


class Making(Generic[T]):
    """Derivatives of one original that are being made, and the requests that wait for them."""

    def __init__(self, client: str, background: bool) -> None:
        self.client = client
        self.background = background
        self.job: Job | None = None
        self._task: Deferred[T] | None = None
        self._waiters: set[Deferred[T]] = set()
        self._outcome: T | Failure | None = None

    def start(self, work: Coroutine[Deferred[Any], Any, T], forget: Callable[[], None]) -> None:
        """Begin `work`; when it has ended, call `forget` and then fire the Deferreds of `join`."""
        self._task = Deferred.fromCoroutine(work)
        self._task.addBoth(self._finish, forget)

    def _finish(self, outcome: T | Failure, forget: Callable[[], None]) -> None:
        if isinstance(outcome, Failure) and outcome.check(AssetError):
            # The frames know of this object, which keeps the failure.
            release_frames(outcome)
        self._outcome = outcome
        forget()
        while self._waiters:
            self._waiters.pop().callback(outcome)

    def join(self) -> Deferred[T]:
        """Fire with the result of `work`, or fail as it does; cancelling the Deferred only stops waiting.

        When no request waits any more, work that no worker has begun is cancelled.
        """
        waiter: Deferred[T] = Deferred(self._leave)
        if self._outcome is not None:
            waiter.callback(self._outcome)
        else:
            self._waiters.add(waiter)
        return waiter

    def _leave(self, waiter: Deferred[T]) -> None:
        self._waiters.discard(waiter)
        # A job that runs already is let finish: whoever left while scrolling will soon scroll back.
        if not self._waiters and self._task and not (self.job and self.job.running):
            self._task.cancel()
