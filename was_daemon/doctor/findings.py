"""What the checks find, as values."""

import enum
from collections.abc import Sequence

import attrs


class State(enum.Enum):
    """State of what was looked at. WARNING: it works, and should not stay so. SKIPPED: it could not be looked at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen
class Finding:
    """Result of a check, in a sentence for an administrator, without secrets.

    `check` is the check's name, such as "clock". `remedy` is a command that mends it, or a sentence on what to do.
    """

    check: str
    state: State
    message: str
    remedy: str | None = None


def ok(check: str, message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, State.OK, message)


def warning(check: str, message: str, remedy: str | None = None) -> Finding:
    """Return a finding that should not stay as it is."""
    return Finding(check, State.WARNING, message, remedy)


def failed(check: str, message: str, remedy: str | None = None) -> Finding:
    """Return a finding that something does not work."""
    return Finding(check, State.FAILED, message, remedy)


def skipped(check: str, why: str, remedy: str | None = None) -> Finding:
    """Return a finding that a check could not be made, and why; `remedy` says how it can."""
    return Finding(check, State.SKIPPED, why, remedy)


def all_well(findings: Sequence[Finding]) -> bool:
    """Return whether none of the findings is a failure."""
    return not any(each.state is State.FAILED for each in findings)
