"""Number of errors and failed requests in the last hour."""

import time
from collections import deque

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from was_daemon.telemetry.metrics import Metrics

_SECONDS = 3600.0
_MAX_COUNT = 10_000
"""Largest number that is counted; the memory of the moments is bounded by it."""

_COUNTED_LEVELS = (LogLevel.warn, LogLevel.error, LogLevel.critical)


@implementer(ILogObserver)
class RecentErrors:
    """Log observer that counts errors, and a counter of failed requests."""

    def __init__(self, metrics: Metrics) -> None:
        self._events = metrics.log_events
        self._errors: deque[float] = deque(maxlen=_MAX_COUNT)
        self._failed: deque[float] = deque(maxlen=_MAX_COUNT)

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        level = event.get("log_level")
        if level in _COUNTED_LEVELS:
            self._events.labels(level.name).inc()
        if level in _COUNTED_LEVELS[1:]:
            self._errors.append(time.monotonic())

    def count_failed_request(self) -> None:
        """Count a request that was answered with a status of 500 or more."""
        self._failed.append(time.monotonic())

    def errors(self) -> int:
        """Return the number of errors in the log within the last hour."""
        return _count_recent(self._errors)

    def failed_requests(self) -> int:
        """Return the number of requests that failed within the last hour."""
        return _count_recent(self._failed)


def _count_recent(moments: deque[float]) -> int:
    while moments and moments[0] < time.monotonic() - _SECONDS:
        moments.popleft()
    return len(moments)
