"""The routes of monitoring, of searches and of the console, on endpoints of their own that the public does not reach.

Addresses for machines need no login; the pages of the console do.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
from klein import Klein
from klein.resource import KleinResource
from twisted.web.http import Request
from twisted.web.server import Site

from was_daemon.health.checks import Health
from was_daemon.health.mirrors import MirrorState
from was_daemon.health.report import Report
from was_daemon.httpd.hardened import HardenedChannel
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.search_texts import BadSearch
from was_daemon.telemetry.metrics import Metrics
from was_daemon.web.admin.assets import AssetQuery
from was_daemon.web.admin.requests import AdminRequest
from was_daemon.web.console.frame import set_security_headers
from was_daemon.web.console.pages import see_other
from was_daemon.web.console.routes import Console

if TYPE_CHECKING:
    from was_daemon.catalogue.finder import Finder

_IDLE_SECONDS = 60


class AdminSite(Site):
    """The factory of connections to the admin endpoints."""

    protocol = HardenedChannel  # type: ignore[assignment]  # Twisted wraps its own to offer HTTP/2
    requestFactory = AdminRequest
    displayTracebacks = False
    noisy = False

    def __init__(self, resource: KleinResource) -> None:
        super().__init__(resource, timeout=_IDLE_SECONDS)

    def log(self, request: Request) -> None:
        """Log no requests: monitoring sends one every few seconds."""


class AdminServer:
    """The routes of one process; `finder` returns what searches the catalogue, None without one."""

    app = Klein()

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        console: Console,
        finder: "Callable[[], Finder | None]" = lambda: None,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._console = console
        self._finder = finder

    def resource(self) -> KleinResource:
        """Return the resource for a site."""
        return self.app.__get__(self, type(self)).resource()

    @app.route("/healthz", methods=["GET"])
    async def healthz(self, request: Request) -> bytes:
        """Say as JSON whether all is well, with 200, or what is not, with 503."""
        report = await self._health.report()
        request.setResponseCode(503 if report.problems else 200)
        request.setHeader(b"Content-Type", b"application/json")
        return json.dumps(_document(report), indent=1).encode() + b"\n"

    @app.route("/metrics", methods=["GET"])
    async def metrics(self, request: Request) -> bytes:
        """Send everything that is counted, in Prometheus' text format."""
        request.setHeader(b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8")
        # Some of it is found by looking.
        await self._health.report()
        return self._metrics.exposition()

    @app.route("/assets", methods=["GET"])
    async def assets(self, request: Request) -> bytes:
        """Send what the catalogue has of originals, as JSON."""
        return await self._answer(request, AssetQuery.assets)

    @app.route("/history", methods=["GET"])
    async def history(self, request: Request) -> bytes:
        """Send what has happened to originals of a name, as JSON."""
        return await self._answer(request, AssetQuery.history)

    @app.route("/", methods=["GET"])
    @app.route("/console", methods=["GET"])
    async def to_console(self, request: Request) -> bytes:
        """Send people to the console."""
        set_security_headers(request)
        return see_other(request, "console/")

    @app.route("/console/", methods=["GET", "HEAD", "POST"], branch=True)
    def console(self, request: Request, **_: Any) -> KleinResource:
        """Leave everything below this path to the console."""
        set_security_headers(request)
        return self._console.resource()

    async def _answer(
        self, request: Request, ask: "Callable[[AssetQuery, Finder], Awaitable[dict[str, Any]]]"
    ) -> bytes:
        finder = self._finder()
        try:
            if not finder:
                status, document = 404, {"error": "there is no catalogue"}
            else:
                status, document = 200, await ask(AssetQuery(request.uri.partition(b"?")[2]), finder)
        except BadSearch as error:
            status, document = 400, {"error": str(error)}
        except StoreUnavailable as error:
            status, document = 503, {"error": str(error)}
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", b"application/json")
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def _document(report: Report) -> dict[str, object]:
    return {
        "status": "failing" if report.problems else "ok",
        "problems": report.problems,
        "warnings": list(report.warnings),
        "stores": {name: outcome.located_problem or "ok" for name, outcome in report.stores.items()},
        "spool": report.spool.located_problem or "ok",
        "workers": report.workers or "ok",
        **{name: outcome.located_problem or "ok" for name, outcome in report.databases.items()},
        **({"fixity": report.fixity.problem or "ok"} if report.fixity else {}),
        "collections": {
            name: {"used_bytes": usage.used, "quota_bytes": usage.quota} for name, usage in report.collections.items()
        },
        "trash": {name: {"files": size.files, "bytes": size.bytes} for name, size in report.trash.items()},
        "mirrors": {name: _copies(mirror) for name, mirror in report.mirrors.items()},
        "promotions": {name: attrs.asdict(state) for name, state in report.promotions.items()},
        "free_bytes": {
            subject: outcome.free for subject, outcome in report.subjects.items() if outcome.free is not None
        },
    }


def _copies(mirror: MirrorState) -> dict[str, object]:
    return {name: attrs.asdict(state) for name, state in mirror.copies.items()}
