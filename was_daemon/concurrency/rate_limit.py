"""Limits on how fast work in the background goes on."""

import time

from twisted.internet.task import deferLater


class RateLimit:
    """Limit of `rate` units a second, such as files or bytes; None is no limit.

    Time that was not used is made up for, by `burst` seconds at most: timers fire a little late.
    """

    def __init__(self, rate: float | None, burst: float = 0.0) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._burst = burst
        self._next = 0.0

    async def wait(self, units: int = 1) -> None:
        """Wait after so many units until the next may follow."""
        from twisted.internet import reactor

        if not self._interval:
            return
        now = time.monotonic()
        self._next = max(self._next, now - self._burst) + units * self._interval
        if self._next > now:
            await deferLater(reactor, self._next - now)
