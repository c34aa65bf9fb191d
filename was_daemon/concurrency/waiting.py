"""Those who wait for the same thing."""

from twisted.internet.defer import Deferred


class Waiters:
    """Deferreds that fire together; whoever cancels one waits no more."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def add(self) -> Deferred[None]:
        """Wait until `release`."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def release(self) -> None:
        """It has come: all who wait go on."""
        while self._waiting:
            self._waiting.pop(0).callback(None)
