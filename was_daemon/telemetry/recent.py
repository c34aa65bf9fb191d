"""What went wrong lately."""

import time
from collections import deque

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from was_daemon.telemetry.metrics import Metrics

_SECONDS = 3600.0
_MOST = 10_000
"""More than these in an hour are not told apart."""

_COUNTED = (LogLevel.warn, LogLevel.error, LogLevel.critical)


@implementer(ILogObserver)
class RecentTrouble:
    """Counts errors in the log and requests that failed; what they were about it does not know."""

    def __init__(self, metrics: Metrics) -> None:
        self._events = metrics.log_events
        self._errors: deque[float] = deque(maxlen=_MOST)
        self._failed: deque[float] = deque(maxlen=_MOST)

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        level = event.get("log_level")
        if level in _COUNTED:
            self._events.labels(level.name).inc()
        if level in _COUNTED[1:]:
            self._errors.append(time.monotonic())

    def note_failed_request(self) -> None:
        """A request was answered with a status that says that the server failed."""
        self._failed.append(time.monotonic())

    def errors(self) -> int:
        """Errors in the log within the last hour."""
        return _fresh(self._errors)

    def failed_requests(self) -> int:
        """Requests that failed within the last hour."""
        return _fresh(self._failed)


def _fresh(moments: deque[float]) -> int:
    while moments and moments[0] < time.monotonic() - _SECONDS:
        moments.popleft()
    return len(moments)
