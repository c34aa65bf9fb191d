"""All checks together: none holds up the others, and none brings down the command."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.support.cli import write_config
from tests.support.examined import patient
from was_daemon.doctor import examination
from was_daemon.doctor.examination import Check, examine
from was_daemon.doctor.findings import Finding, State, ok
from was_daemon.doctor.patient import Patient


@pytest_twisted.ensureDeferred
async def test_a_check_that_hangs_or_fails_is_a_finding_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = Event()

    def hangs(_: Patient) -> Iterator[Finding]:
        free.wait()
        yield ok("disk", "never told")

    async def waits(_: Patient) -> list[Finding]:
        await Deferred()
        return []

    def fails(_: Patient) -> Iterator[Finding]:
        yield ok("broken", "told")
        raise ZeroDivisionError

    def works(_: Patient) -> Iterator[Finding]:
        yield ok("good", "told")

    checks = [
        Check("disk", hangs, seconds=0.1),
        Check("server", waits, seconds=0.1),
        Check("broken", fails),
        Check("good", works),
    ]
    monkeypatch.setattr(examination, "CHECKS", checks)
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}})
    told: list[Finding] = []
    found = await examine(patient(config), told.append)
    free.set()
    assert told == found
    assert [(each.check, each.state) for each in found] == [
        ("disk", State.FAILED),
        ("server", State.FAILED),
        ("broken", State.FAILED),
        ("good", State.OK),
    ]
    assert found[0].message.startswith("no answer within 0.1 s")
    assert "ZeroDivisionError" in found[2].message
