"""Check of the ports that the daemon listens on: whether others have them, and whether its user may open them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from was_daemon.config.endpoints import TCPAddress
from was_daemon.doctor.findings import Finding, failed, ok, skipped
from was_daemon.doctor.patient import Patient
from was_daemon.health.probe import probe, url_of

_NAME = "ports"
_FIRST_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_DEFAULT_FIRST = 1024
_CAPABILITY = "cap_net_bind_service"
_SECONDS = 3.0
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  # compared with


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong with each port."""
    if patient.is_wrong("server.listen"):
        yield skipped(_NAME, "server.listen is wrong")
        return
    addresses = patient.tcp_addresses()
    found = False
    for address in addresses:
        for finding in (*_taken(patient, address), *_privileged(patient, address)):
            found = True
            yield finding
    for description in patient.known.server.listen:
        if description.startswith("systemd:"):
            found = True
            yield _of_systemd(patient, description)
    if not addresses:
        yield skipped(_NAME, f"the daemon opens no port: {', '.join(patient.known.server.listen)}")
    elif not found:
        yield ok(_NAME, f"{', '.join(str(each.port) for each in addresses)}: free, or this daemon's")


def _taken(patient: Patient, address: TCPAddress) -> Iterator[Finding]:
    for listener in patient.machine.listening_on(address.port):
        if listener.is_ours or not (
            listener.is_everywhere or address.interface in _EVERYWHERE or address.interface == listener.address
        ):
            continue
        if not listener.program:
            # Whether it is the daemon, the check of the daemon tells.
            return
        if _answers(address):
            # The check of the daemon tells whether it is the right one.
            return
        yield failed(
            _NAME,
            # Further words of its command may be secrets.
            f"port {address.port} is in use by process {listener.pid}, {listener.program.split()[0]}",
            f"Stop it, or choose another port in server.listen of {patient.name_of_config}.",
        )
        return


def _answers(address: TCPAddress) -> bool:
    """Return whether an asset server of this kind answers there, whatever its process is called."""
    url = url_of(address)
    return bool(probe(url, _SECONDS)["ok"] or "health" in probe(f"{url}/healthz", _SECONDS))


def _privileged(patient: Patient, address: TCPAddress) -> Iterator[Finding]:
    first = _DEFAULT_FIRST
    with suppress(OSError, ValueError):
        first = int(_FIRST_UNPRIVILEGED.read_text())
    if address.port >= first or patient.account.uid == 0 or patient.other_user or address.port == 0:
        return
    unit = patient.machine.unit
    if _CAPABILITY in unit.properties.get("AmbientCapabilities", "") or any(
        listener.is_ours for listener in patient.machine.listening_on(address.port)
    ):
        return
    yield failed(
        _NAME,
        f"{patient.account} may not open port {address.port}: those below {first} are root's",
        "Let systemd open it: systemctl enable --now was-daemon.socket, with "
        'server.listen = ["systemd:domain=INET6:index=0"]',
    )


def _of_systemd(patient: Patient, description: str) -> Finding:
    unit = patient.machine.unit
    sockets = [each for each in unit.words("TriggeredBy") if each.endswith(".socket")]
    if unit.problem or "LISTEN_FDS" in os.environ:
        return skipped(_NAME, f"{description}: systemd opens it")
    if not sockets:
        return failed(
            _NAME,
            f'server.listen has "{description}", and no socket unit starts {unit.name}',
            "systemctl enable --now was-daemon.socket",
        )
    return ok(_NAME, f"{description}: opened by {', '.join(sockets)}")
