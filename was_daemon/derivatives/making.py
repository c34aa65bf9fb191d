"""Work that several requests share."""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from was_daemon.concurrency.frames import release_frames
from was_daemon.model.errors import AssetError
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.workers.pool import Job

Made = dict[int, MemoryReader]
"""What was made and is published, by scale, but for what is too large to be handed around in memory."""


class Making:
    """Thumbnails of one original under way, and who waits for them."""

    def __init__(self, client: str, background: bool) -> None:
        self.client = client
        self.background = background
        self.job: Job | None = None
        self._task: Deferred[Made] | None = None
        self._waiters: set[Deferred[Made]] = set()
        self._outcome: Made | Failure | None = None

    def start(self, work: Coroutine[Deferred[Any], Any, Made], forget: Callable[[], None]) -> None:
        """Begin; when `work` has ended, `forget` is called, and then those who wait are told what came of it."""
        self._task = Deferred.fromCoroutine(work)
        self._task.addBoth(self._finish, forget)

    def _finish(self, outcome: Made | Failure, forget: Callable[[], None]) -> None:
        if isinstance(outcome, Failure) and outcome.check(AssetError):
            # The frames know of this object, which keeps the failure.
            release_frames(outcome)
        self._outcome = outcome
        forget()
        while self._waiters:
            self._waiters.pop().callback(outcome)

    def join(self) -> Deferred[Made]:
        """Wait for what `work` returns or raises; cancelling the Deferred leaves."""
        waiter: Deferred[Made] = Deferred(self._leave)
        if self._outcome is not None:
            waiter.callback(self._outcome)
        else:
            self._waiters.add(waiter)
        return waiter

    def _leave(self, waiter: Deferred[Made]) -> None:
        self._waiters.discard(waiter)
        # A job that runs already is let finish: whoever left while scrolling will soon scroll back.
        if not self._waiters and self._task and not (self.job and self.job.running):
            self._task.cancel()
