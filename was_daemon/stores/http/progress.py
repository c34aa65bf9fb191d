"""Time-out for a remote store that makes no progress."""

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from was_daemon.model.errors import StoreTimeout

T = TypeVar("T")


class Watchdog:
    """Time-out of one operation, which is cancelled when nothing has moved for `patience` seconds.

    Only waiting for the store counts: before waiting for anything else `rest` is called, and `progress` after it.
    """

    def __init__(self, clock: IReactorTime, patience: float) -> None:
        self._clock = clock
        self.patience = patience
        self.waited = 0.0
        """Seconds that operations have waited for the store so far."""
        self._cancel: Callable[[], None] | None = None
        self._alarm: IDelayedCall | None = None
        self._expired = False

    async def guard(self, operation: Deferred[T]) -> T:
        """Return the result of `operation`. Raises `StoreTimeout` when the time is over.

        Raises `CancelledError` when this is cancelled, whatever error the operation then fails with.
        """
        cancelled = False

        def cancel(_outcome: Deferred[T]) -> None:
            nonlocal cancelled
            cancelled = True
            operation.cancel()

        outcome: Deferred[T] = Deferred(cancel)
        operation.addBoth(lambda result: None if outcome.called else outcome.callback(result))
        self._cancel = operation.cancel
        began = self._clock.seconds()
        self.progress()
        try:
            return await outcome
        except Exception as error:
            # The error of a cancelled operation says little about the reason.
            if self._expired:
                raise StoreTimeout("the store made no progress in time") from error
            if cancelled:
                raise CancelledError from error
            raise
        finally:
            self._cancel = None
            self.waited += self._clock.seconds() - began
            self.rest()

    def progress(self) -> None:
        """Start the time-out anew: something moved, or the operation waits for the store again."""
        self.rest()
        if self._cancel:
            self._alarm = self._clock.callLater(self.patience, self._expire, self._cancel)

    def rest(self) -> None:
        """Stop the time-out: the operation does not wait for the store."""
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None

    def _expire(self, cancel: Callable[[], None]) -> None:
        self._alarm = None
        self._expired = True
        cancel()
