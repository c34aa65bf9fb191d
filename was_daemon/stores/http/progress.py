"""Noticing that a remote store stands still."""

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from was_daemon.model.errors import StoreTimeout

T = TypeVar("T")


class Watchdog:
    """Gives up on one operation when nothing has moved for `patience` seconds.

    Only waiting for the store counts: whoever waits for anything else calls `rest` before and `progress` after.
    """

    def __init__(self, clock: IReactorTime, patience: float) -> None:
        self._clock = clock
        self._patience = patience
        self._cancel: Callable[[], None] | None = None
        self._alarm: IDelayedCall | None = None
        self._expired = False

    async def guard(self, operation: Deferred[T]) -> T:
        """What `operation` fires with; once nothing moves any more it is cancelled, and `StoreTimeout` raised.

        `CancelledError` when somebody else cancels it, whatever the operation then fails with.
        """
        cancelled = False

        def cancel(_outcome: Deferred[T]) -> None:
            nonlocal cancelled
            cancelled = True
            operation.cancel()

        outcome: Deferred[T] = Deferred(cancel)
        operation.addBoth(lambda result: None if outcome.called else outcome.callback(result))
        self._cancel = operation.cancel
        self.progress()
        try:
            return await outcome
        except Exception as error:
            # What an operation fails with when it is cancelled says little about why.
            if self._expired:
                raise StoreTimeout("the store made no progress in time") from error
            if cancelled:
                raise CancelledError from error
            raise
        finally:
            self._cancel = None
            self.rest()

    def progress(self) -> None:
        """Something moved, or the store is being waited for again."""
        self.rest()
        if self._cancel:
            self._alarm = self._clock.callLater(self._patience, self._expire, self._cancel)

    def rest(self) -> None:
        """The store is not what is being waited for."""
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None

    def _expire(self, cancel: Callable[[], None]) -> None:
        self._alarm = None
        self._expired = True
        cancel()
