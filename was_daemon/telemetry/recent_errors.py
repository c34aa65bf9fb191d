"""Errors and failed requests of the last hour, in numbers, and the last ones of each kind, with their reasons."""

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import attrs
from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText
from zope.interface import implementer

from was_daemon.telemetry.metrics import Metrics
from was_daemon.telemetry.redaction import without_secrets, without_tokens

_SECONDS = 3600.0
_MAX_COUNT = 10_000
"""Largest number that is counted; the memory of the moments is bounded by it."""

_MAX_KINDS = 100
"""Kinds of failures that are kept; the one that has not occurred for longest gives way."""

_MAX_TEXT = 300
_NUMBER = re.compile(r"[0-9][0-9a-f.-]*")
_FAILED = 500

_TOLD_APART = ("mistake", "warning", "setting")
"""Names of values in events by which these say different things, so that one does not hide the other."""

_COUNTED_LEVELS = (LogLevel.warn, LogLevel.error, LogLevel.critical)

T = TypeVar("T", bound=Hashable)


@attrs.frozen
class FailedRequest:
    """A kind of failed requests: the endpoint, the status and the reason without its numbers, which may be empty."""

    endpoint: str
    status: int
    reason: str


@attrs.frozen
class LogLine:
    """A kind of warnings or errors in the log: the level, and the text without what differs from one to the next."""

    level: str
    form: str


@attrs.frozen
class Occurrences:
    """How often something occurred, when first and last, in Unix seconds, and in which words the last time."""

    number: int
    first: float
    last: float
    text: str = ""


class Kinds(Generic[T]):
    """The last kinds of failures, each with its occurrences."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kinds: OrderedDict[T, Occurrences] = OrderedDict()

    def note(self, kind: T, text: str) -> None:
        """Count one more of a kind, with these words."""
        now, known = self._clock(), self._kinds.get(kind)
        number, first = (known.number + 1, known.first) if known else (1, now)
        self._kinds[kind] = Occurrences(number, first, now, text)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _MAX_KINDS:
            self._kinds.popitem(last=False)

    def newest_first(self) -> list[tuple[T, Occurrences]]:
        """Return the kinds, the one that has occurred last first."""
        return [*reversed(self._kinds.items())]


@implementer(ILogObserver)
class RecentErrors:
    """Log observer that counts errors, and a counter of failed requests."""

    def __init__(self, metrics: Metrics) -> None:
        self._events = metrics.log_events
        self._errors: deque[float] = deque(maxlen=_MAX_COUNT)
        self._failed: deque[float] = deque(maxlen=_MAX_COUNT)
        self.requests: Kinds[FailedRequest] = Kinds()
        self.lines: Kinds[LogLine] = Kinds()

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        level = event.get("log_level")
        if level in _COUNTED_LEVELS:
            self._events.labels(level.name).inc()
            text = _text(event)
            self.lines.note(LogLine(level.name, _form_of_line(event, text)), text)
        if level in _COUNTED_LEVELS[1:]:
            self._errors.append(time.monotonic())

    def note_failed_request(self, endpoint: str, status: int, reason: str) -> None:
        """Count a request that was answered with a status of 400 or more."""
        text = without_tokens(reason[:_MAX_TEXT])
        self.requests.note(FailedRequest(endpoint, status, _form(text)), text)
        if status >= _FAILED:
            self._failed.append(time.monotonic())

    def errors(self) -> int:
        """Return the number of errors in the log within the last hour."""
        return _count_recent(self._errors)

    def failed_requests(self) -> int:
        """Return the number of requests with a status of 500 or more within the last hour."""
        return _count_recent(self._failed)


def _text(event: LogEvent) -> str:
    """Return the first line of an event, which may be followed by a traceback."""
    text = eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
    failure = event.get("log_failure")
    if failure:
        text = f"{text}: {failure.getErrorMessage()}"
    return without_secrets((text.strip().splitlines() or [""])[0][:_MAX_TEXT])


def _form_of_line(event: LogEvent, text: str) -> str:
    """Return the text of an event without what differs between events of which the same can be said."""
    form = event.get("log_format") or _form(text)
    for name in _TOLD_APART:
        if name in event:
            form = form.replace(f"{{{name}}}", _form(without_secrets(str(event[name]))))
    return form[:_MAX_TEXT]


def _form(text: str) -> str:
    """Return a text with a mark in the place of each number."""
    return _NUMBER.sub("#", text)


def _count_recent(moments: deque[float]) -> int:
    while moments and moments[0] < time.monotonic() - _SECONDS:
        moments.popleft()
    return len(moments)
