"""An asyncio event loop in a thread of its own, for a library that needs one beside Twisted's reactor."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure

from was_daemon.concurrency.waiting import shield
from was_daemon.model.errors import StoreUnavailable

T = TypeVar("T")

_CLOSED = "the store was closed"

_PARTING_SECONDS = 5.0
"""Time for which `close` waits for the thread, which may wait for a look-up of a name that hangs."""


class EventLoopThread:
    """Event loop that starts with the first call, used from the reactor's thread.

    A daemon that goes into the background must not have threads before it has.
    """

    def __init__(self, name: str) -> None:
        from twisted.internet import reactor

        self._name = name
        self._reactor = IReactorFromThreads(reactor)
        self._clock = IReactorTime(reactor)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Future[None]] = set()
        self._stopping = asyncio.Event()
        self._ended: Deferred[None] = Deferred()
        self._closed = False

    def call(
        self, work: Callable[[], Coroutine[Any, Any, T]], unclaimed: Callable[[T], object] | None = None
    ) -> Deferred[T]:
        """Run `work` in the loop; fire with its result.

        Cancelling the Deferred does not stop `work`: its result goes to `unclaimed`, or is dropped.
        """
        if self._closed:
            return fail(StoreUnavailable(_CLOSED))
        done: Deferred[T] = Deferred()
        waiter = shield(done, lambda result: unclaimed and not isinstance(result, Failure) and unclaimed(result))

        async def run() -> None:
            outcome: T | Failure
            try:
                outcome = await work()
            except asyncio.CancelledError:
                outcome = Failure(StoreUnavailable(_CLOSED))
            except BaseException:
                outcome = Failure()
            self._reactor.callFromThread(done.callback, outcome)
            # A failure holds this frame.
            del outcome

        loop = self._loop or self._start()
        loop.call_soon_threadsafe(self._begin, run)
        return waiter

    def _begin(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # The loop itself holds its tasks weakly.
        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = loop = asyncio.new_event_loop()

        def serve() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._stopping.wait())
            self._reactor.callFromThread(self._ended.callback, None)

        Thread(target=serve, name=self._name, daemon=True).start()
        return loop

    async def close(self) -> None:
        """Cancel what runs in the loop, and wait for the end of the thread. Later calls fail."""
        self._closed = True
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._stopping.set)
            with suppress(DeferredTimeout):
                await shield(self._ended).addTimeout(_PARTING_SECONDS, self._clock)
