"""The admin endpoints of several processes together: each is asked, and their answers make one."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from klein import Klein
from klein.resource import KleinResource
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.web._newclient import HTTP11ClientProtocol
from twisted.web._newclient import Request as ClientRequest
from twisted.web.client import readBody
from twisted.web.http import Request
from twisted.web.http_headers import Headers

from was_daemon.daemon.processes.monitor import Child
from was_daemon.daemon.processes.relay import ConsoleRelay

_PATIENCE_SECONDS = 6.0
"""Seconds to wait for a process, which may itself wait three seconds for a store."""

AdminResponse = tuple[int, bytes] | None
"""Status and body of a response of one process; None without a response."""


class CombinedAdminServer:
    """Admin server whose `/healthz` and `/metrics` combine those of all `children`; `relay` is for the console."""

    app = Klein()

    def __init__(self, children: Sequence[Child], relay: ConsoleRelay) -> None:
        self._children = children
        self._relay = relay

    def resource(self) -> KleinResource:
        """Return the resource for a site."""
        return self.app.__get__(self, type(self)).resource()

    @app.route("/healthz", methods=["GET"])
    async def healthz(self, request: Request) -> bytes:
        """Say as JSON whether all is well in all processes, with 200, or what is not, with 503."""
        answers = await self._ask(b"/healthz")
        reports = {number: json.loads(answer[1]) if answer else None for number, answer in answers.items()}
        document = merge_health(reports)
        request.setResponseCode(503 if document["problems"] else 200)
        request.setHeader(b"Content-Type", b"application/json")
        return json.dumps(document, indent=1).encode() + b"\n"

    @app.route("/metrics", methods=["GET"])
    async def metrics(self, request: Request) -> bytes:
        """Send the metrics of all processes, each with the label `process`."""
        answers = await self._ask(b"/metrics")
        request.setHeader(b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8")
        return merge_metrics({number: answer[1].decode() if answer else None for number, answer in answers.items()})

    @app.route("/assets", methods=["GET"])
    @app.route("/history", methods=["GET"])
    async def search(self, request: Request) -> bytes:
        """Have a process search the catalogue, which all have in common."""
        for child in self._children:
            answer = await _ask(child, request.uri)
            if answer:
                request.setResponseCode(answer[0])
                request.setHeader(b"Content-Type", b"application/json")
                return answer[1]
        request.setResponseCode(503)
        return b"no process answers\n"

    @app.route("/", methods=["GET"])
    @app.route("/console", methods=["GET"])
    async def to_console(self, request: Request) -> bytes:
        """Send people to the console."""
        return await self._relay.answer(request)

    @app.route("/console/", methods=["GET", "HEAD", "POST"], branch=True)
    async def console(self, request: Request, **_: Any) -> bytes:
        """Have a process show the console."""
        return await self._relay.answer(request)

    async def _ask(self, path: bytes) -> dict[int, AdminResponse]:
        # At the same time: two that hang take no longer than one.
        asked = {child.number: Deferred.fromCoroutine(_ask(child, path)) for child in self._children}
        return {number: await answer for number, answer in asked.items()}


async def _ask(child: Child, path: bytes) -> AdminResponse:
    from twisted.internet import reactor

    if not child.serves:
        return None
    answer = Deferred.fromCoroutine(_fetch(child, path))
    try:
        return await answer.addTimeout(_PATIENCE_SECONDS, IReactorTime(reactor))
    except Exception:  # whatever keeps it from answering
        return None


async def _fetch(child: Child, path: bytes) -> AdminResponse:
    from twisted.internet import reactor

    factory = Factory.forProtocol(HTTP11ClientProtocol)
    # Monitoring asks every few seconds: that is not worth two lines in the log each time.
    factory.noisy = False
    client: Any = await UNIXClientEndpoint(reactor, str(child.admin)).connect(factory)
    response = await client.request(ClientRequest(b"GET", path, Headers({b"host": [b"was"]}), None))
    return response.code, await readBody(response)


def merge_health(reports: Mapping[int, dict[str, Any] | None]) -> dict[str, Any]:
    """Return one health report, made of those of processes by number; None for a process that does not answer.

    The result is the report of the first process that answers, with the other problems of the others.
    """
    first: dict[str, Any] = next((report for report in reports.values() if report), {})
    found: list[str] = []
    for number, report in reports.items():
        if report is None:
            found.append(f"process {number}: does not serve")
        else:
            others = [problem for problem in report["problems"] if problem not in first["problems"]]
            found += [f"process {number}: {problem}" for problem in others]
    problems = [*first.get("problems", []), *found]
    status = "failing" if problems else "ok"
    return {**first, "status": status, "problems": problems, "processes": found or "ok"}


def merge_metrics(processes: Mapping[int, str | None]) -> bytes:
    """Return the metrics of processes by number, in Prometheus' text format, each with the label `process`.

    Adding them up is left to Prometheus: when a process is replaced its counters begin at 0, as Prometheus expects of
    each series, while a sum would jump back to what the others have counted. A process that does not answer is not
    healthy.
    """
    return generate_latest(_Labelled(processes))


class _Labelled:
    """A registry of the metrics of several processes."""

    def __init__(self, processes: Mapping[int, str | None]) -> None:
        self._processes = processes

    def collect(self) -> list[Metric]:
        """See `CollectorRegistry`."""
        merged: dict[str, Metric] = {}
        for number, text in self._processes.items():
            for family in text_string_to_metric_families(text or "# TYPE was_healthy gauge\nwas_healthy 0\n"):
                metric = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                metric.documentation = metric.documentation or family.documentation
                for sample in family.samples:
                    metric.add_sample(sample.name, {**sample.labels, "process": str(number)}, sample.value)
        return list(merged.values())
