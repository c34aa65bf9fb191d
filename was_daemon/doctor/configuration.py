"""Check of the configuration: its mistakes, and what the daemon would warn of."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from was_daemon.config.endpoints import tls_files
from was_daemon.config.plugins import PLUGIN_DIRECTORY
from was_daemon.doctor import changeable
from was_daemon.doctor.account import obstacle
from was_daemon.doctor.credentials import key_remedy, lack_of
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient

_NAME = "configuration"
_DENIED = ": permission denied"
_KEY_FILE = re.compile(r"\S+key_file: (.+): (?:is empty|not a text|no such file or directory)")
_UNUSABLE = '" is not usable: '
_ENDPOINT = re.compile(rf'(server\.(?:admin_)?listen)\[[0-9]+\]: "(.*){_UNUSABLE}')
_NO_PLUGIN_DIRECTORY = re.compile(
    rf"plugins\.path\[([0-9]+)\]: .*(?:: there is no such directory| has no directory {PLUGIN_DIRECTORY}: .*)"
)
_PLUGIN = re.compile(rf"(/[^\n]*?/{PLUGIN_DIRECTORY}/\w+\.py)(?: is left out|: a plugin without a name is left out)")
_MISSING = ": no such file or directory"


def look(patient: Patient) -> Iterator[Finding]:
    """Yield a finding for each mistake and each warning."""
    found = list(changeable.look(_NAME, patient))
    yield from found
    check = f"was-daemon config check --config {shlex.quote(patient.name_of_config)}"
    for mistake in patient.mistakes:
        if finding := _of_credential(patient, mistake):
            yield finding
        elif patient.is_of_credential(mistake):
            yield skipped(_NAME, f"{mistake}: systemd reads it for the daemon", "sudo was-daemon doctor")
        elif patient.other_user and mistake.endswith(_DENIED):
            yield skipped(_NAME, mistake, "sudo was-daemon doctor")
        elif patient.config is None:
            yield failed(_NAME, mistake, "was-daemon init")
        else:
            mend = _told(mistake) or _of_plugin(mistake, check) or _of_file(patient, mistake)
            yield failed(_NAME, mistake, mend or f"Correct {patient.name_of_config}, then: {check}")
    for each in patient.warnings:
        if not _is_told(patient, each):
            yield warning(_NAME, each, _of_plugin(each, check))
    if not patient.mistakes and not found:
        yield ok(_NAME, f"{patient.config or 'the one that is used without a file'} has no mistakes")


def _told(mistake: str) -> str | None:
    """Return the command that a mistake about a file ends with."""
    _, is_changeable, command = mistake.partition(" can be changed by others: run ")
    return command if is_changeable else None


def _of_plugin(sentence: str, check: str) -> str | None:
    """Return what mends a file of plugins that is left out, if a mistake or a warning is about one."""
    match = _PLUGIN.search(sentence)
    return f"Correct {match[1]}, or move it away; then: {check}" if match else None


def _of_file(patient: Patient, mistake: str) -> str | None:
    """Return what mends a file that the configuration names; None for another user, to whom it is not to be given."""
    if patient.other_user:
        return None
    return (
        _permission(patient, mistake)
        or _of_key(patient, mistake)
        or _of_tls(patient, mistake)
        or _of_plugin_directory(patient, mistake)
    )


def _is_told(patient: Patient, warning: str) -> bool:
    """Return whether a warning is of a file that is missing, of which a mistake tells."""
    named, missing, _ = warning.partition(": there is no such file")
    path = named.rpartition(": ")[2]
    return bool(missing) and any(mistake.endswith(f": {path}{_MISSING}") for mistake in patient.mistakes)


def _of_credential(patient: Patient, mistake: str) -> Finding | None:
    """Return what is wrong with a file that systemd passes to the daemon: the configuration names it rightly."""
    name = patient.credential_of(mistake)
    if not name:
        return None
    setting, unit = mistake.partition(":")[0], patient.machine.unit
    lack = lack_of(unit, name)
    if lack:
        return failed(_NAME, f"{setting}: {lack.message}", lack.remedy)
    if mistake.endswith(_MISSING):
        return skipped(_NAME, f"{setting}: systemd passes {unit.credentials[name]} to the daemon when that is started")
    return None


def _of_key(patient: Patient, mistake: str) -> str | None:
    """Return what mends a file of a key that the daemon reads itself, if there is no key in it."""
    match = _KEY_FILE.fullmatch(mistake)
    user, _, group = patient.account.owner.partition(":")
    install = f"install -m 600 -o {user} -g {group} /dev/stdin {shlex.quote(match[1])}" if match else ""
    return key_remedy(install, patient.restart) if match else None


def _of_tls(patient: Patient, mistake: str) -> str | None:
    """Return what mends the files of an endpoint with TLS, if the mistake is about these."""
    match = _ENDPOINT.match(mistake)
    files = tls_files(match[2]) if match else {}
    told = [path for path in files.values() if str(path) in mistake.rpartition(_UNUSABLE)[2]]
    if not match or not told:
        return None
    shown = " ".join(shlex.quote(str(each)) for each in dict.fromkeys(told))
    key, certificate = (shlex.quote(str(files[each])) for each in ("privateKey", "certKey"))
    if mistake.endswith(_MISSING):
        correct = f"correct {match[1]} in {patient.name_of_config}"
        return f"ls -l {shown}; put the file there, or {correct}; then: {patient.restart}"
    return (
        "Write a key and a certificate there that were made together, for which these print the same: "
        f"openssl pkey -in {key} -pubout; openssl x509 -in {certificate} -noout -pubkey; then: {patient.restart}"
    )


def _of_plugin_directory(patient: Patient, mistake: str) -> str | None:
    """Return what makes a directory of plugins that is missing."""
    match = _NO_PLUGIN_DIRECTORY.fullmatch(mistake)
    return changeable.make_plugins(patient.known.plugin_path[int(match[1])]) if match and patient.settings else None


def _permission(patient: Patient, mistake: str) -> str | None:
    """Return the command that lets the daemon's user read a file, if that is the mistake."""
    if not mistake.endswith(_DENIED):
        return None
    found = obstacle(patient.account, Path(mistake.removesuffix(_DENIED).split(": ")[-1]), os.R_OK)
    return found.remedy if found else None
