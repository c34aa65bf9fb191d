"""Results of checks, and the errors by which a check tells its result."""

import enum

import attrs


class CheckState(enum.Enum):
    """State of a check that was made; DIFFERS is a difference from the contract that harms no client of Specify's."""

    PASSED = "passed"
    DIFFERS = "differs"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckFailed(Exception):
    """The server does not do what Specify's clients need: it sent `got` instead of `expected`."""

    def __init__(self, expected: str, got: object) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = str(got)


class CheckSkipped(Exception):
    """The check cannot be made with this server; the message says why."""


@attrs.frozen
class CheckResult:
    """Result of one check; `expected` and `got` explain a failure, `remark` a difference or why it was skipped."""

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
    """Join several remarks to one; return None when all are None."""
    return "; ".join(remark for remark in remarks if remark) or None
