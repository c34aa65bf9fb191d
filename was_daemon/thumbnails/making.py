"""Work that several requests share."""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from was_daemon.thumbnails.pool import Job


class Making:
    """Thumbnails of one original under way, and who waits for them."""

    def __init__(self, client: str, background: bool) -> None:
        self.client = client
        self.background = background
        self.job: Job | None = None
        self._task: Deferred[None] | None = None
        self._waiters: set[Deferred[None]] = set()
        self._finished = False
        self._outcome: Failure | None = None

    def start(self, work: Coroutine[Deferred[Any], Any, None], forget: Callable[[], None]) -> None:
        """Begin; when `work` has ended, `forget` is called, and then those who wait are told what came of it."""
        self._task = Deferred.fromCoroutine(work)
        self._task.addBoth(self._finish, forget)

    def _finish(self, outcome: Failure | None, forget: Callable[[], None]) -> None:
        self._finished = True
        self._outcome = outcome
        forget()
        while self._waiters:
            self._waiters.pop().callback(outcome)

    def join(self) -> Deferred[None]:
        """Wait for the outcome; cancelling the Deferred leaves."""
        waiter: Deferred[None] = Deferred(self._leave)
        if self._finished:
            waiter.callback(self._outcome)
        else:
            self._waiters.add(waiter)
        return waiter

    def _leave(self, waiter: Deferred[None]) -> None:
        self._waiters.discard(waiter)
        # A job that runs already is let finish: whoever left while scrolling will soon scroll back.
        if not self._waiters and self._task and not (self.job and self.job.running):
            self._task.cancel()
