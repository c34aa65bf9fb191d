"""The examination that the console has made, or could not make."""

from collections.abc import Sequence

import pytest

from was_daemon.doctor.findings import Finding, failed, ok, warning
from was_daemon.web.console.examination import Examination
from was_daemon.web.console.findings import _found
from was_daemon.web.console.overview import examination_note


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


def test_the_overview_says_when_the_last_one_was_made_and_that_none_was() -> None:
    outcomes: list[list[Finding]] = [[failed("certificate", "<b>: has expired"), ok("clock", "is right")], [ok("", "")]]

    async def examine() -> Sequence[Finding]:
        return outcomes.pop(0)

    examination = Examination(examine)
    assert "Not looked at since the daemon was started: certificates" in examination_note(examination)
    examination.start()
    told = examination_note(examination)
    assert "less than a minute ago found 1 failure: certificate: &lt;b&gt;: has expired." in told
    examination.start()
    assert "less than a minute ago found no failure." in examination_note(examination)
    outcomes.append([warning("databases", "catalogue: old"), warning("clock", "is late"), ok("", "")])
    examination.start()
    assert "found no failure and 2 warnings." in examination_note(examination)
    outcomes.append([failed("certificate", "has expired"), warning("clock", "is late")])
    examination.start()
    assert "found 1 failure and 1 warning: certificate: has expired." in examination_note(examination)
    examination.start()
    assert "less than a minute ago failed." in examination_note(examination)
