"""Check of the configuration: its mistakes, and what the daemon would warn of."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from was_daemon.doctor.account import obstacle
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient

_NAME = "configuration"
_DENIED = ": permission denied"


def look(patient: Patient) -> Iterator[Finding]:
    """Yield a finding for each mistake and each warning."""
    check = f"was-daemon config check --config {shlex.quote(patient.name_of_config)}"
    for mistake in patient.mistakes:
        if patient.is_of_credential(mistake):
            yield skipped(_NAME, f"{mistake}: systemd reads it for the daemon", "sudo was-daemon doctor")
        elif patient.config is None:
            yield failed(_NAME, mistake, "was-daemon init")
        else:
            yield failed(
                _NAME, mistake, _permission(patient, mistake) or f"Correct {patient.name_of_config}, then: {check}"
            )
    for each in patient.warnings:
        yield warning(_NAME, each)
    if not patient.mistakes:
        yield ok(_NAME, f"{patient.config or 'the one that is used without a file'} has no mistakes")


def _permission(patient: Patient, mistake: str) -> str | None:
    """Return the command that lets the daemon's user read a file, if that is the mistake."""
    if not mistake.endswith(_DENIED):
        return None
    found = obstacle(patient.account, Path(mistake.removesuffix(_DENIED).split(": ")[-1]), os.R_OK)
    return found.remedy if found else None
