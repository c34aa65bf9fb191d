"""`was-daemon doctor`: everything that keeps the daemon from working well, with what mends it."""

import json
import os
import pwd
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import click

from was_daemon.cli.options import epilog, has_default_key, json_option, reported_config_option
from was_daemon.config.secret_files import SecretFile

if TYPE_CHECKING:
    from was_daemon.config.load import ConfigSource
    from was_daemon.daemon.examination import Reading
    from was_daemon.daemon.ownership import Owner
    from was_daemon.doctor.findings import Finding
    from was_daemon.doctor.unit import Unit

T = TypeVar("T")

_UNIT = "was-daemon.service"
_READ_SECONDS = 10.0
_WORDS = {"ok": "ok", "warning": "WARNING", "failed": "FAILED", "skipped": "skipped"}
_INDENT = " " * 8

_session_file = click.Path(path_type=SecretFile, exists=True, dir_okay=False)


@click.command(epilog=epilog("was-daemon doctor --config was.toml"))
@click.option("--specify", "specify_url", metavar="URL", help="Specify 7, to compare its key and its clock.")
@click.option(
    "--specify-session",
    type=_session_file,
    help="The file with the cookie sessionid of a user who has logged in there.",
)
@click.option("--unit", default=_UNIT, show_default=True, help="The unit of systemd that runs the daemon.")
@reported_config_option
@json_option
def doctor(
    specify_url: str | None, specify_session: SecretFile | None, unit: str, config: Path | None, as_json: bool
) -> None:
    """Find what is wrong with the daemon, its machine and its configuration, and what mends it.

    Run it as root, or as the daemon's user; root sees more, and goes on as the daemon's user. It works with the daemon
    running, stopped, or not able to start, and changes nothing. Each check is a line, and below it the command that
    mends what is wrong.
    """
    from was_daemon.cli.daemon_user import other_user
    from was_daemon.cli.reactor import run
    from was_daemon.config.load import ConfigSource
    from was_daemon.daemon.examination import examine_and_close, patient_of
    from was_daemon.doctor.findings import all_well
    from was_daemon.doctor.machine import look_at_machine
    from was_daemon.doctor.patient import SpecifySite

    specify = SpecifySite(_address(specify_url), specify_session) if specify_url else None
    config = config.absolute() if config else None
    machine = look_at_machine(unit)
    if config and machine.unit.runs(config):
        os.environ.update(machine.unit.environment())
    source = ConfigSource(config, dict(os.environ))
    unit_in_use = machine.unit if config and machine.unit.runs(config) else None
    reading, warnings = _as_daemon(_read(source), unit_in_use)
    other = _within(_READ_SECONDS, lambda: other_user(reading.settings, config, unit_in_use), None)
    patient = patient_of(source, reading, machine, specify, warnings, other)

    async def work() -> int:
        findings = await examine_and_close(patient, lambda finding: None if as_json else click.echo(_lines(finding)))
        well = all_well(findings)
        click.echo(_document(well, findings) if as_json else _summary(findings))
        return 0 if well else 1

    run(work, is_report=True)


def _address(url: str) -> str:
    """Return the address of Specify, without the path of a page, or that of a document; raise `BadParameter`."""
    from was_daemon.config.public_url import is_server_address

    if not is_server_address(url):
        raise click.BadParameter("expected an address such as https://specify.example.org", param_hint="--specify")
    parts = urlsplit(url)
    return url if parts.path.endswith(".xml") else f"{parts.scheme}://{parts.netloc}"


def _read(source: "ConfigSource") -> "Reading":
    """Return what can be read of the configuration, unless reading it hangs."""
    from was_daemon.daemon.examination import Reading, read

    if source.path is None and not os.environ.get("ATTACHMENT_KEY") and not has_default_key():
        return Reading(None, ["there is no configuration: was-daemon init writes one, and --config names it"])
    hangs = Reading(None, [f"{source.path}, or a file that it names, cannot be read within {_READ_SECONDS:g} s"])
    return _within(_READ_SECONDS, lambda: read(source), hangs)


def _within(seconds: float, function: Callable[[], T], otherwise: T) -> T:
    """Return the result of a function that may hang on a disk; `otherwise` if it does."""
    found: list[T] = []
    thread = Thread(target=lambda: found.append(function()), daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else otherwise


def _as_daemon(reading: "Reading", unit: "Unit | None") -> "tuple[Reading, list[str]]":
    """Go on as the daemon's user, if root has called the command; return that user's settings, and warnings."""
    import attrs

    from was_daemon.cli.identity import go_on_as
    from was_daemon.daemon.ownership import with_spool_of

    if os.geteuid() != 0:
        return reading, []
    users = _user_of(unit) or _within(_READ_SECONDS, lambda: _owners(reading), [])
    if len(users) > 1:
        whose = ", and ".join(f"{each.path} to {each}" for each in users)
        return reading, [f"the files belong to different users ({whose}), and the daemon can be only one of them"]
    if not users:
        return reading, []
    # The default spool of root is another one than that user's.
    settings = reading.settings and with_spool_of(users[0].uid, reading.settings)
    go_on_as(users[0], unit.groups() if unit else ())
    return attrs.evolve(reading, settings=settings), []


def _user_of(unit: "Unit | None") -> "list[Owner]":
    from was_daemon.daemon.ownership import Owner

    with suppress(KeyError):
        if unit and unit.user:
            user = pwd.getpwnam(unit.user)
            return [Owner(user.pw_uid, unit.gid or user.pw_gid, Path(unit.properties.get("FragmentPath", "")))]
    return []


def _owners(reading: "Reading") -> "list[Owner]":
    from was_daemon.cli.identity import owners_of
    from was_daemon.config.load import ConfigError

    with suppress(ConfigError, KeyError, AttributeError, RecursionError):
        if reading.settings:
            return owners_of(reading.settings)
    return []


def _lines(finding: "Finding") -> str:
    from was_daemon.cli.report import printable

    line = f"{_WORDS[finding.state.value]:<8}{finding.check}: {printable(finding.message)}"
    return line + (f"\n{_INDENT}{printable(finding.remedy)}" if finding.remedy else "")


def _summary(findings: "Sequence[Finding]") -> str:
    from collections import Counter

    from was_daemon.model.durations import counted

    counts = Counter(each.state.value for each in findings)
    warnings = counted(counts["warning"], "warning")
    return f"{counts['failed']} failed, {warnings}, {counts['skipped']} skipped, {counts['ok']} ok"


def _document(well: bool, findings: "Sequence[Finding]") -> str:
    entries = [
        {"check": each.check, "state": each.state.value, "message": each.message, "remedy": each.remedy}
        for each in findings
    ]
    return json.dumps({"ok": well, "findings": entries}, ensure_ascii=False, indent=2)
