"""The first checks of `was-daemon check` on an address, which upload nothing: discovery, clock, endpoints, key."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from was_daemon.conformance import discovery, elsewhere
from was_daemon.conformance.check import Check
from was_daemon.conformance.client import HttpClient
from was_daemon.conformance.results import CheckResult, CheckState
from was_daemon.conformance.server import Server
from was_daemon.conformance.suite import run_check
from was_daemon.doctor.patient import Patient

_DOCUMENT = "web_asset_store.xml"
_IDS = ("discovery", "clock", "endpoints", "key")
_CHECKS = tuple(each for each in discovery.CHECKS if each.id in _IDS)
_SECONDS = 4.0

UNANSWERED = "an answer"
"""What a check expects that got none."""


def server_at(url: str, patient: Patient) -> Server:
    """Return the server whose address, or discovery document, is `url`, with a key of this configuration."""
    settings = patient.settings
    own = {name: each.key for name, each in settings.collections.map.items() if each.key} if settings else {}
    key = settings.server.key if settings else None
    collection = next(iter(settings.collections.map), None) if settings else None
    if key is None and own:
        collection, key = next(iter(own.items()))
    document = url if url.endswith(".xml") else f"{url.rstrip('/')}/{_DOCUMENT}"
    return Server(document, key, collection, HttpClient(_SECONDS))


def results_of(server: Server) -> Iterator[CheckResult]:
    """Yield the results of the checks on a server, and on others that its document names; blocks."""
    yield from _results(server, (*_CHECKS, *elsewhere.CHECKS))


def results_here(server: Server, url: str) -> Iterator[CheckResult]:
    """Yield the results of the checks on a server that is asked at `url`, wherever its document leads; blocks."""
    for result in _results(server, _CHECKS):
        server.endpoints.update({kind: f"{url}/{_last(each)}" for kind, each in server.endpoints.items()})
        yield result


def _last(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _results(server: Server, checks: Sequence[Check]) -> Iterator[CheckResult]:
    failures: dict[str, str] = {}
    for check in checks:
        result = run_check(check, server, failures)
        reason = result.title if result.state is CheckState.FAILED else failures.get(check.needs or "")
        if reason:
            failures[check.id] = reason
        yield result
