"""What a check is, and what comes of it."""

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from was_daemon.cli.checks.server import Server


class State(enum.Enum):
    """What came of a check. A server that differs, differs in a way that no client of Specify's suffers from."""

    PASSED = "passed"
    DIFFERS = "differs"
    FAILED = "failed"
    SKIPPED = "skipped"


class Fails(Exception):
    """The server does not do what Specify's clients need."""

    def __init__(self, expected: str, got: object) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = str(got)


class Skips(Exception):
    """The check cannot be made, or makes no sense with this server; the message says why."""


@attrs.frozen
class Check:
    """One line of the report.

    `attempt` raises `Fails` or `Skips`, returns how the server differs harmlessly, or None when all is as it should be.
    The check is skipped unless the check with the id `needs`, an earlier one, went well.
    """

    id: str
    title: str
    attempt: "Callable[[Server], str | None]"
    needs: str | None = "upload-specify7"


@attrs.frozen
class Outcome:
    """What came of one check; `expected` and `got` say what is wrong, `remark` what differs or why it was skipped."""

    id: str
    title: str
    state: State
    expected: str = ""
    got: str = ""
    remark: str = ""
    seconds: float = 0.0


def expect(holds: bool, expected: str, got: object) -> None:
    """Raise `Fails` unless `holds`."""
    if not holds:
        raise Fails(expected, got)


def differences(*remarks: str | None) -> str | None:
    """One remark out of several; None when there are none."""
    return "; ".join(remark for remark in remarks if remark) or None
