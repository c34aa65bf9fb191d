"""What a check of `doctor` finds, without the command around it."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from was_daemon.config.load import ConfigSource
from was_daemon.daemon.examination import patient_of, read
from was_daemon.doctor.findings import Finding, State
from was_daemon.doctor.machine import Machine
from was_daemon.doctor.patient import Patient, SpecifySite

NOTHING_SEEN = Machine()


def patient(config: Path, machine: Machine = NOTHING_SEEN, specify: SpecifySite | None = None) -> Patient:
    """The daemon of a configuration, on a machine of which nothing is known but `machine`."""
    source = ConfigSource(config, dict(os.environ))
    return patient_of(source, read(source), machine, specify)


def bad(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that say that something is wrong."""
    return [each for each in findings if each.state in (State.FAILED, State.WARNING)]


def only(findings: Iterable[Finding], state: State = State.FAILED) -> Finding:
    """The only finding of a state."""
    found = [each for each in findings if each.state is state]
    assert len(found) == 1, found
    return found[0]


def found_by(
    look: Callable[[Patient], Iterable[Finding]], config: Path, machine: Machine = NOTHING_SEEN
) -> list[Finding]:
    """What a check that blocks finds."""
    return list(look(patient(config, machine)))
