"""What monitoring asks: `/healthz` and `/metrics`, on endpoints of their own that the public does not reach."""

import json

from klein import Klein
from klein.resource import KleinResource
from twisted.web.http import Request
from twisted.web.server import Site

from was_daemon.health.checks import Report
from was_daemon.health.figures import Figures
from was_daemon.httpd.hardened import HardenedChannel, HardenedRequest

_IDLE_SECONDS = 60


class AdminSite(Site):
    """The factory of connections; nobody wants to read a line in the log for every look at the daemon."""

    protocol = HardenedChannel  # type: ignore[assignment]  # Twisted wraps its own to offer HTTP/2
    requestFactory = HardenedRequest
    displayTracebacks = False

    def __init__(self, resource: KleinResource) -> None:
        super().__init__(resource, timeout=_IDLE_SECONDS)

    def log(self, request: Request) -> None:
        """Nothing."""


class AdminServer:
    """The admin endpoints."""

    app = Klein()

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def resource(self) -> KleinResource:
        """The resource for a site."""
        return self.app.__get__(self, type(self)).resource()

    @app.route("/healthz", methods=["GET"])
    async def healthz(self, request: Request) -> bytes:
        """Say as JSON whether all is well, with 200, or what is not, with 503."""
        report = await self._figures.report()
        request.setResponseCode(503 if report.problems else 200)
        request.setHeader(b"Content-Type", b"application/json")
        return json.dumps(_document(report), indent=1).encode() + b"\n"

    @app.route("/metrics", methods=["GET"])
    async def metrics(self, request: Request) -> bytes:
        """Send everything that is counted, in Prometheus' text format."""
        request.setHeader(b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8")
        return await self._figures.exposition()


def _document(report: Report) -> dict[str, object]:
    return {
        "status": "failing" if report.problems else "ok",
        "problems": report.problems,
        "warnings": list(report.warnings),
        "stores": {name: finding.problem or "ok" for name, finding in report.stores.items()},
        "spool": report.spool.problem or "ok",
        "workers": report.workers or "ok",
        "collections": {
            name: {"used_bytes": usage.used, "quota_bytes": usage.quota} for name, usage in report.collections.items()
        },
        "processes": list(report.processes) or "ok",
        "free_bytes": {place: finding.free for place, finding in report.places.items() if finding.free is not None},
    }
