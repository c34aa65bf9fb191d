"""Check of the unit of systemd: loaded, enabled, running, its user, its drop-ins and its credentials."""

import pwd
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from was_daemon.doctor.credentials import lack_of, told_by_configuration
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient
from was_daemon.doctor.unit import Unit, drop_in

_NAME = "service"
_MANY_RESTARTS = 3
_STARTED_BY_SOCKET = ".socket"
_STATUSES = {
    "203": "ExecStart= cannot be run",
    "217": "there is no such user",
    "226": "a directory that the unit names is missing",
    "243": "a file of LoadCredential= cannot be passed",
}
"""What the statuses mean with which systemd ends before the daemon itself starts, see systemd.exec(5)."""


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what systemd says of the unit, if it runs the daemon with this configuration."""
    unit = patient.machine.unit
    if unit.problem:
        yield skipped(_NAME, unit.problem)
        return
    if not unit.is_loaded:
        yield from _unloaded(unit)
        return
    if patient.config and not unit.runs(patient.config):
        yield skipped(_NAME, f"{unit.name} runs with another configuration than {patient.config}")
        return
    found = [*_credentials(patient, unit), *_user(unit), *_state(unit)]
    yield from found
    if not found:
        drop_ins = unit.words("DropInPaths")
        added = f", with {', '.join(drop_ins)}" if drop_ins else ""
        yield ok(_NAME, f"{unit.name} runs as {unit.user or 'root'}{added}")


def _unloaded(unit: Unit) -> Iterator[Finding]:
    state = unit.properties.get("LoadState")
    if state == "masked":
        yield failed(_NAME, f"{unit.name} is masked, so systemd does not start it", f"systemctl unmask {unit.name}")
    elif state in ("error", "bad-setting"):
        yield failed(_NAME, f"systemd cannot read {unit.name}", f"systemd-analyze verify {unit.name}")
    else:
        yield skipped(_NAME, f"there is no {unit.name}: the daemon is started in another way")


def _state(unit: Unit) -> Iterator[Finding]:
    properties, name = unit.properties, unit.name
    log = f"journalctl --unit={name} --lines=50"
    waits = any(each.endswith(_STARTED_BY_SOCKET) for each in unit.words("TriggeredBy"))
    if properties.get("ActiveState") == "failed":
        why = f"{properties.get('Result')}, {_status(unit)}"
        yield failed(_NAME, f"{name} has failed ({why})", f"{log}, then: {unit.restart}")
    elif properties.get("SubState") == "auto-restart":
        yield failed(_NAME, f"{name} ends right after each start ({_status(unit)})", log)
    elif not unit.is_active and not waits:
        yield failed(_NAME, f"{name} is stopped", f"systemctl start {name}")
    if properties.get("UnitFileState") == "disabled" and not waits:
        yield warning(_NAME, f"{name} does not start with the machine", f"systemctl enable {name}")
    if properties.get("NeedDaemonReload") == "yes":
        yield warning(
            _NAME,
            f"{name} or a drop-in of it has been changed since systemd read it",
            f"systemctl daemon-reload && {{ {unit.restart}; }}",
        )
    restarts = int(properties.get("NRestarts") or 0)
    if restarts > _MANY_RESTARTS:
        yield warning(_NAME, f"systemd has restarted {name} {restarts} times since it was started", log)


def _status(unit: Unit) -> str:
    status = unit.properties.get("ExecMainStatus", "")
    return f"status {status}" + (f": {_STATUSES[status]}" if status in _STATUSES else "")


def _user(unit: Unit) -> Iterator[Finding]:
    if not unit.user:
        if unit.properties.get("DynamicUser") == "yes":
            return
        yield failed(
            _NAME, f"{unit.name} has no User=, so the daemon is root", drop_in(unit, "doctor", "User=was-daemon")
        )
        return
    try:
        pwd.getpwnam(unit.user)
    except KeyError:
        if not unit.user.isdecimal():
            yield failed(
                _NAME,
                f"there is no user {unit.user}, as whom {unit.name} is to run",
                f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {unit.user}",
            )


def _credentials(patient: Patient, unit: Unit) -> Iterator[Finding]:
    told = told_by_configuration(patient)
    for name, path in unit.credentials.items():
        lack = lack_of(unit, name)
        if lack and name not in told:
            yield failed(_NAME, lack.message, lack.remedy)
        elif not lack and patient.machine.is_seen_by_root and path.stat().st_mode & 0o077:
            yield warning(
                _NAME,
                f"{path} can be read by others than root, and systemd reads it for the daemon",
                f"chown root:root {shlex.quote(str(path))} && chmod 600 {shlex.quote(str(path))}",
            )
    yield from _running_with_old(unit)


def _running_with_old(unit: Unit) -> Iterator[Finding]:
    """Yield credentials that have been changed since systemd passed them to the daemon, which needs a restart."""
    for name, path in unit.credentials.items():
        passed = Path("/run/credentials") / unit.name / name
        with suppress(OSError):
            if unit.is_active and passed.read_bytes() != path.read_bytes():
                yield failed(
                    _NAME,
                    f"{path} has been changed since {unit.name} was started, which still has the old one",
                    unit.restart,
                )
