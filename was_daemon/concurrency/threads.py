"""Threads that start when there is work and end when there is none.

Twisted's pools keep their threads for ever, and wait for the slowest of them at the end, as Python does for its own. A
call on a mount that hangs never returns: these threads are left behind then.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure

from was_daemon.concurrency.waiting import Waiters

T = TypeVar("T")

_IDLE_SECONDS = 5.0
"""Time for which a thread waits for more work before it ends."""


class Threads:
    """Pool of at most `size` threads, used from the reactor's thread. Calls wait in the order in which they came.

    The threads keep this object alive: a weak reference to it lasts as long as there is work.
    """

    def __init__(self, name: str, size: int) -> None:
        from twisted.internet import reactor

        self.name = name
        self._size = size
        self._reactor = IReactorFromThreads(reactor)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = Lock()
        self._count = 0
        self._unfinished = 0
        self._under_way = 0
        self._drained = Waiters()

    def call(self, function: Callable[[], T]) -> Deferred[T]:
        """Call `function` in a thread; fire with its result. Cancelling drops the result, and the call goes on."""
        done: Deferred[T] = Deferred()

        def call() -> None:
            outcome: T | Failure
            try:
                outcome = function()
            except BaseException:
                outcome = Failure()
            with self._lock:
                self._unfinished -= 1
            self._reactor.callFromThread(self._deliver, done, outcome)
            # A failure holds this frame.
            del outcome

        self._under_way += 1
        with self._lock:
            self._unfinished += 1
            self._calls.put(call)
            if self._count < min(self._unfinished, self._size):
                self._count += 1
                Thread(target=self._work, name=self.name, daemon=True).start()
        return done

    def _deliver(self, done: Deferred[T], outcome: T | Failure) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._drained.release()
        done.callback(outcome)

    def _work(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=_IDLE_SECONDS)
            except Empty:
                call = None
            if call:
                call()
                continue
            with self._lock:
                # `call` may have counted on this thread for work that it has just queued.
                if self._calls.empty():
                    self._count -= 1
                    return

    async def drain(self, patience: float) -> int:
        """Wait until all calls have returned, or for `patience` seconds; fire with the number of the others."""
        from twisted.internet import reactor

        if self._under_way:
            try:
                await self._drained.add().addTimeout(patience, IReactorTime(reactor))
            except DeferredTimeout:
                return self._under_way
        for _ in range(self._count):
            self._calls.put(None)
        return 0
