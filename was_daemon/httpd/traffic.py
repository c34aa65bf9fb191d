"""Counts and times of requests, and the report of each to the access log."""

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
_IIIF = {b"info.json": "iiif_info", b"manifest": "iiif_manifest", b"media": "iiif_media"}
"""Endpoints by the last segment of a path below `/iiif/`; all others are pictures."""

_FAILED = 400
_NO_ENDPOINT = "none"
"""The endpoint under which refused connections are counted, and input that is no request."""

_ABORTED = "aborted"
"""The status of a request whose client was gone before it had its answer."""


class Exchange(Protocol):
    """The parts of a request that are counted."""

    method: bytes
    path: bytes
    code: int
    sentLength: int
    problem: str


@attrs.frozen
class FinishedRequest:
    """A request that is over, for the log; `seconds` is the time from its head to the end of its answer."""

    request: Any
    status: int
    is_whole: bool
    seconds: float


class Traffic:
    """Metrics of all requests of the process.

    `log` is called with each at its end, and `failed` with endpoint, status and reason for a status of 400 or more.
    """

    def __init__(
        self,
        metrics: Metrics | None = None,
        log: Callable[[FinishedRequest], None] = lambda _: None,
        failed: Callable[[str, int, str], None] = lambda _endpoint, _status, _reason: None,
    ) -> None:
        metrics = metrics or Metrics()
        self._requests = metrics.requests
        self._seconds = metrics.request_seconds
        self._log = log
        self._failed = failed
        self._known: dict[tuple[str, int | str], tuple[Counter, Histogram]] = {}
        self.received = metrics.received.inc
        self.sent = metrics.sent.inc
        self.active = 0
        metrics.requests_under_way.set_function(lambda: self.active)

    def begin(self) -> float:
        """Count a request whose head has arrived; return the time, for `end`."""
        self.active += 1
        return time.perf_counter()

    def end(self, request: Exchange, begun: float, status: int, is_whole: bool) -> None:
        """Count a request whose answer has been written, or cannot be written any more."""
        self.active -= 1
        seconds = time.perf_counter() - begun
        endpoint = _endpoint(request.path)
        count, duration = self._metrics(endpoint, status if is_whole else _ABORTED)
        count.inc()
        duration.observe(seconds)
        if is_whole and status >= _FAILED:
            self._failed(endpoint, status, request.problem)
        self._log(FinishedRequest(request, status, is_whole, seconds))

    def refused(self, status: int) -> None:
        """Count a connection that was refused before it had a request."""
        self._requests.labels(_NO_ENDPOINT, status).inc()

    def _metrics(self, endpoint: str, status: int | str) -> tuple[Counter, Histogram]:
        known = self._known.get((endpoint, status))
        if known is None:
            known = self._requests.labels(endpoint, status), self._seconds.labels(endpoint)
            self._known[endpoint, status] = known
        return known


def _endpoint(path: bytes) -> str:
    """Return the endpoint under which a path is counted: one of a few, whatever clients ask for."""
    known = _ENDPOINTS.get(path)
    if known:
        return known
    if path.startswith(b"/iiif/"):
        ending = path.rpartition(b"/")[2]
        return _IIIF.get(ending, "iiif_image")
    return "static" if path.startswith(b"/static/") else "other"
