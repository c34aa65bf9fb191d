"""Check of `public_url` from inside: its name, who answers there, and whether browsers may use what it tells."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from was_daemon.conformance.client import HttpClient, Unanswered
from was_daemon.conformance.results import CheckState
from was_daemon.conformance.server import Server
from was_daemon.doctor.contract import UNANSWERED, results_of, server_at
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient
from was_daemon.health.probe import NO_ANSWER, NO_TLS, addresses_of, probe
from was_daemon.model.keys import Kind

_NAME = "address"
_SECONDS = 4.0
_MOST_SHOWN = 4
_NAT = "if other machines reach it, enter {} in /etc/hosts, with an address of this machine"


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong with `public_url`; blocks."""
    server = patient.known.server
    url = server.public_url
    if not url:
        yield skipped(_NAME, "server.public_url is not set: clients are told the host of their own request")
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(
            host, parts.port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
    except OSError as error:
        yield failed(
            _NAME,
            f"{host}, the host of server.public_url, has no address: {error.strerror}",
            f"getent hosts {host}; enter it in the DNS, or correct server.public_url in {patient.name_of_config}.",
        )
        return
    numbers = list(dict.fromkeys(str(each[4][0]) for each in found))
    shown = ", ".join(numbers[:_MOST_SHOWN])
    answer = probe(url, _SECONDS)
    problem = str(answer.get("problem", ""))
    if parts.scheme == "https" and problem.startswith(NO_TLS):
        yield skipped(_NAME, f"{url} ({shown}): {problem}; the check certificate says what mends it")
        return
    if not answer["ok"]:
        yield failed(
            _NAME,
            f"{url} ({shown}): {problem}",
            f"curl --verbose --head {url}"
            + (f"; {_NAT.format(host)}" if problem.startswith(NO_ANSWER) and not _is_local(host) else ""),
        )
        return
    problems = [*_served(patient, url), *_mixed(patient, url)]
    yield from problems
    if not problems:
        yield ok(_NAME, f"{url} leads to this daemon ({shown}), with this key")


def _served(patient: Patient, url: str) -> Iterator[Finding]:
    for result in results_of(server_at(url, patient)):
        if result.state is CheckState.FAILED and result.id == "key" and result.expected != UNANSWERED:
            yield failed(
                _NAME,
                f"{url} leads to another server, or one with another key: it refuses that of {patient.name_of_config}",
                f"Correct the proxy or the DNS: curl --verbose --head {url}",
            )
        elif result.state is CheckState.FAILED:
            yield failed(
                _NAME,
                f"{url}: {result.title}: expected {result.expected}, got {result.got}",
                f"was-daemon check {url} --key-file FILE",
            )
        elif result.state is CheckState.DIFFERS:
            yield warning(
                _NAME, f"{url}: {result.remark}", "timedatectl set-ntp true" if result.id == "clock" else None
            )
        if result.state is CheckState.FAILED:
            return
    if not is_same_daemon(patient, url):
        yield failed(
            _NAME,
            f"{url} leads to another server with the same key: a file of this one is not there, or is another one",
            f"Correct the proxy or the DNS: curl --verbose --head {url}",
        )


def is_same_daemon(patient: Patient, url: str) -> bool:
    """Return whether one original is told alike there and at this machine's own address; True if there is none."""
    local = next((each for each in addresses_of(patient.known.server) if each != url and "/healthz" not in each), None)
    original = _any_original(patient)
    if not local or not original:
        return True
    try:
        here, there = (_told(patient, each, *original) for each in (local, url))
    except Unanswered:
        return True
    return here[0] != 200 or here == there


def _told(patient: Patient, url: str, coll: str, name: str) -> tuple[int, str, str]:
    """Return the status, the size and the time that a server tells of an original; raises `Unanswered`."""
    settings = patient.known
    own = settings.collections.map.get(coll)
    key = (own and own.key) or settings.server.key
    server = Server(url, key, coll or None, HttpClient(_SECONDS), endpoints={"read": f"{url}/fileget"})
    answer = server.original(name, method="HEAD")
    return answer.status, str(answer.headers.get("Content-Length")), str(answer.headers.get("Last-Modified"))


def _any_original(patient: Patient) -> tuple[str, str] | None:
    """Return the collection and the name of an original on this machine's disks; "" without collections."""
    settings = patient.known
    if settings.collections.mode == "auto":
        return None
    for name, files in patient.local_stores().items():
        mapped = settings.collections.map.items()
        named = {each.directory: coll for coll, each in mapped if (each.store or settings.default_store) == name}
        for directory, coll in (named or {"": ""}).items():
            with suppress(OSError):
                for entry in files.files(directory, Kind.ORIGINAL):
                    return coll, entry.name
    return None


def _mixed(patient: Patient, url: str) -> Iterator[Finding]:
    """Yield addresses that browsers refuse, as pages of https may load nothing by http."""
    specify = patient.specify
    if specify is None and url.startswith("http:") and not _is_local(urlsplit(url).hostname or ""):
        yield warning(
            _NAME,
            f"{url} is not https: if Specify's pages are, browsers refuse its pictures and uploads as mixed content",
            "Serve it by https, as docs/install.md shows with nginx.",
        )


def _is_local(host: str) -> bool:
    with suppress(ValueError):
        return not ip_address(host).is_global
    return host == "localhost" or "." not in host
