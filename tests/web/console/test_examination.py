"""The examination that the console has made, or could not make."""

from collections.abc import Sequence

import pytest

from was_daemon.doctor.findings import Finding, failed
from was_daemon.web.console.examination import Examination
from was_daemon.web.console.findings import _found


@pytest.mark.parametrize("findings", [None, [failed("stores", "store <b>: is gone")]])
def test_one_that_fails_is_told_with_time_and_cause_and_the_last_findings_stay(
    findings: list[Finding] | None,
) -> None:
    outcomes: list[list[Finding] | Exception] = [*([findings] if findings else []), AttributeError("no <shutdown>")]

    async def examine() -> Sequence[Finding]:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    examination = Examination(examine)
    while outcomes:
        examination.start()
    told = _found(examination)
    assert "The examination of less than a minute ago failed: AttributeError: no &lt;shutdown&gt;." in told
    assert "There was none" not in told
    assert ("store &lt;b&gt;: is gone" in told) is bool(findings)


def test_a_failure_is_forgotten_when_the_next_one_is_made() -> None:
    outcomes: list[list[Finding]] = []

    async def examine() -> Sequence[Finding]:
        return outcomes.pop()

    examination = Examination(examine)
    examination.start()
    assert "failed: IndexError" in _found(examination)
    outcomes.append([])
    examination.start()
    assert "failed" not in _found(examination)
