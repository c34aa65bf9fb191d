"""What comes of a check."""

import enum

import attrs


class CheckState(enum.Enum):
    """What came of a check. A server that differs, differs in a way that no client of Specify's suffers from."""

    PASSED = "passed"
    DIFFERS = "differs"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckFailed(Exception):
    """The server does not do what Specify's clients need."""

    def __init__(self, expected: str, got: object) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = str(got)


class CheckSkipped(Exception):
    """The check cannot be made, or makes no sense with this server; the message says why."""


@attrs.frozen
class CheckResult:
    """What came of one check; `expected` and `got` say what is wrong, `remark` what differs or why it was skipped."""

    id: str
    title: str
    state: CheckState
    expected: str = ""
    got: str = ""
    remark: str = ""
    seconds: float = 0.0


def expect(holds: bool, expected: str, got: object) -> None:
    """Raise `CheckFailed` unless `holds`."""
    if not holds:
        raise CheckFailed(expected, got)


def differences(*remarks: str | None) -> str | None:
    """One remark out of several; None when there are none."""
    return "; ".join(remark for remark in remarks if remark) or None
