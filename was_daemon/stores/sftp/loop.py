"""asyncio in the reactor's thread, for a library that needs its event loop.

The loop runs as a guest: the reactor watches the loop's own selector, and gives it a turn whenever there is something
to do. With a thread of its own, each request would change the thread twice, and both threads would wait for one lock.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from was_daemon.concurrency.waiting import shield
from was_daemon.model.errors import StoreUnavailable

T = TypeVar("T")

_CLOSED = "the store was closed"

_PASSES = 8
"""Rounds of a loop in one turn, at most; then others have theirs."""

_PARTING_SECONDS = 5.0
"""Time that what runs in the loop has to end when it is cancelled."""


class _Selector(selectors.DefaultSelector):
    """Selector that never waits: where asyncio would, the loop's turn is over."""

    def __init__(self) -> None:
        super().__init__()
        self.wait: float | None = None
        """Seconds until the loop has something to do if nothing is received; None when it has nothing."""
        self.passes = 0
        self.stop: Callable[[], None] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now; call `stop` when that is nothing, or too much for one turn."""
        events = super().select(0)
        self.passes += 1
        self.wait = 0 if events else timeout
        if self.wait != 0 or self.passes >= _PASSES:
            self.stop()
        return events


@implementer(IReadDescriptor)
class _GuestLoop:
    """asyncio's event loop, in turns that the reactor gives it."""

    def __init__(self) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._descriptors = IReactorFDSet(reactor)
        self._selector = _Selector()
        self.loop = asyncio.SelectorEventLoop(self._selector)
        self._selector.stop = self.loop.stop
        self._next: IDelayedCall | None = None
        self._after: list[Callable[[], object]] = []
        self._descriptors.addReader(self)

    def fileno(self) -> int:
        """Return the descriptor of the selector, which is readable when one of its own is ready."""
        return self._selector.fileno()

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "asyncio"

    def connectionLost(self, reason: Failure) -> None:
        """See `IReadDescriptor`."""

    def doRead(self) -> None:
        """Let the loop do what there is to do."""
        self._selector.passes = 0
        # With an asyncio reactor this is called in that one's loop.
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self.loop.run_forever()
        finally:
            asyncio._set_running_loop(outer)
        if self._selector.wait is not None:
            self.wake(self._selector.wait)
        # In the loop, asyncio would take the generators that these start for its own.
        after, self._after = self._after, []
        for call in after:
            call()

    def wake(self, seconds: float = 0) -> None:
        """Give the loop a turn after `seconds` at the latest."""
        due = self._clock.seconds() + seconds
        if self._next is not None and self._next.active():
            if self._next.getTime() <= due:
                return
            self._next.cancel()
        self._next = self._clock.callLater(seconds, self.doRead)

    def call_after(self, call: Callable[[], object]) -> None:
        """Call after this turn of the loop."""
        self._after.append(call)

    def close(self) -> None:
        """End the loop, in which nothing runs any more."""
        self._descriptors.removeReader(self)
        if self._next is not None and self._next.active():
            self._next.cancel()
        self.loop.close()


class EventLoop:
    """Event loop that starts with the first call."""

    def __init__(self) -> None:
        self._guest: _GuestLoop | None = None
        self._tasks: set[asyncio.Future[None]] = set()
        self._closed = False

    def call(
        self, work: Callable[[], Coroutine[Any, Any, T]], unclaimed: Callable[[T], object] | None = None
    ) -> Deferred[T]:
        """Run `work` in the loop; fire with its result.

        Cancelling the Deferred does not stop `work`: its result goes to `unclaimed`, or is dropped.
        """
        if self._closed:
            return fail(StoreUnavailable(_CLOSED))
        self._guest = self._guest or _GuestLoop()
        done = self._run(self._guest, work)
        return shield(done, lambda result: unclaimed and not isinstance(result, Failure) and unclaimed(result))

    def _run(self, guest: _GuestLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        done: Deferred[T] = Deferred()

        async def run() -> None:
            outcome: T | Failure
            try:
                outcome = await work()
            except asyncio.CancelledError:
                outcome = Failure(StoreUnavailable(_CLOSED))
            except BaseException:
                outcome = Failure()
            guest.call_after(partial(done.callback, outcome))
            # A failure holds this frame.
            del outcome

        task = guest.loop.create_task(run())
        # The loop itself holds its tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        guest.wake()
        return done

    async def close(self) -> None:
        """Cancel what runs in the loop, and end it. Later calls fail."""
        self._closed = True
        guest, self._guest = self._guest, None
        if guest is not None:
            await self._run(guest, _cancel_all)
            guest.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=_PARTING_SECONDS)
    await asyncio.get_running_loop().shutdown_asyncgens()
