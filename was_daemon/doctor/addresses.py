"""Check of `public_url` from inside: its name, who answers there, and whether browsers may use what it tells."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from was_daemon.conformance.client import HttpClient, Unanswered
from was_daemon.conformance.results import CheckState
from was_daemon.doctor.contract import UNANSWERED, results_of, server_at
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient
from was_daemon.health.probe import addresses_of, probe
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
    if not answer["ok"]:
        yield failed(
            _NAME,
            f"{url} ({shown}): {answer['problem']}",
            f"curl --verbose --head {url}" + ("" if _is_local(host) else f"; {_NAT.format(host)}"),
        )
        return
    problems = [*_served(patient, url), *_mixed(patient, url)]
    yield from problems
    if not problems:
        local = (
            " to this machine itself" if all(ip_address(each.partition("%")[0]).is_loopback for each in numbers) else ""
        )
        yield ok(_NAME, f"{url} leads{local} ({shown}) to this daemon, with this key")


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
    name = _any_original(patient)
    if not local or not name:
        return True
    tags = []
    for each in (local, url):
        server = server_at(each, patient)
        token = server.token(name[1])
        client = HttpClient(_SECONDS)
        query = (
            f"filename={name[1]}&type=O"
            + (f"&coll={name[0]}" if name[0] else "")
            + (f"&token={token}" if token else "")
        )
        try:
            answer = client.request("HEAD", f"{each}/fileget?{query}")
        except Unanswered:
            return True
        if each == local and answer.status != 200:
            return True
        tags.append((answer.status, answer.headers.get("Content-Length"), answer.headers.get("Last-Modified")))
    return tags[0] == tags[1]


def _any_original(patient: Patient) -> tuple[str, str] | None:
    """Return the collection and the name of an original on this machine's disks, whose name needs no escapes."""
    settings = patient.known
    for name, files in patient.local_stores().items():
        mapped = settings.collections.map.items()
        named = {each.directory: coll for coll, each in mapped if (each.store or settings.default_store) == name}
        for directory, coll in (named or {"": ""}).items():
            if settings.collections.mode == "auto":
                continue
            with suppress(OSError, StopIteration):
                for entry in files.files(directory, Kind.ORIGINAL):
                    is_plain = entry.name.replace(".", "").replace("-", "").replace("_", "").isalnum()
                    if entry.name.isascii() and is_plain and coll.isalnum() | (coll == ""):
                        return coll, entry.name
                    break
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
