"""Requests on their way in and out: counted, timed, and told to the log."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import attrs
from prometheus_client import Counter, Histogram

from was_daemon.telemetry.metrics import Metrics

_ENDPOINTS = {
    b"/": "index",
    b"/web_asset_store.xml": "discovery",
    **{f"/{name}".encode(): name for name in ("testkey", "fileget", "fileupload", "filedelete", "getmetadata")},
    b"/getfileref": "getfileref",
}
_FAILED = 500
_NO_ENDPOINT = "none"
"""Where what cannot be read as a request is counted, and connections that are one too many."""

_ABORTED = "aborted"
"""In place of a status: the client was gone before it had its answer."""


class Exchange(Protocol):
    """A request, as far as it is of interest here."""

    method: bytes
    path: bytes
    code: int
    sentLength: int


@attrs.frozen
class Answered:
    """What the log is told about a request. `seconds` is the time from its head to the end of its answer."""

    request: Any
    status: int
    is_whole: bool
    seconds: float


class Traffic:
    """The requests of the whole process; `log` is told of each that is over, `failed` of those with a status of 5xx."""

    def __init__(
        self,
        metrics: Metrics | None = None,
        log: Callable[[Answered], None] = lambda _: None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        metrics = metrics or Metrics()
        self._requests = metrics.requests
        self._seconds = metrics.request_seconds
        self._log = log
        self._failed = failed
        self._known: dict[tuple[str, int | str], tuple[Counter, Histogram]] = {}
        self.received = metrics.received.inc
        self.sent = metrics.sent.inc
        self.under_way = 0
        metrics.requests_under_way.set_function(lambda: self.under_way)

    def begin(self) -> float:
        """A request's head has arrived; returns the moment, for `end`."""
        self.under_way += 1
        return time.perf_counter()

    def end(self, request: Exchange, begun: float, status: int, is_whole: bool) -> None:
        """The answer has been written, or cannot be any more."""
        self.under_way -= 1
        seconds = time.perf_counter() - begun
        count, duration = self._metrics(_endpoint(request.path), status if is_whole else _ABORTED)
        count.inc()
        duration.observe(seconds)
        if is_whole and status >= _FAILED:
            self._failed()
        self._log(Answered(request, status, is_whole, seconds))

    def refused(self, status: int) -> None:
        """A connection was answered before it had a request."""
        self._requests.labels(_NO_ENDPOINT, status).inc()

    def _metrics(self, endpoint: str, status: int | str) -> tuple[Counter, Histogram]:
        known = self._known.get((endpoint, status))
        if known is None:
            known = self._requests.labels(endpoint, status), self._seconds.labels(endpoint)
            self._known[endpoint, status] = known
        return known


def _endpoint(path: bytes) -> str:
    """What a path is counted as: one of few, whatever clients think of."""
    return _ENDPOINTS.get(path) or ("static" if path.startswith(b"/static/") else "other")
