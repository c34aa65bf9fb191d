"""All checks together: none holds up the others, and none brings down the command."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.support.cli import write_config
from tests.support.examined import patient
from was_daemon.daemon.examination import examine_and_close
from was_daemon.doctor import examination
from was_daemon.doctor.examination import Check, examine
from was_daemon.doctor.findings import Finding, State, ok
from was_daemon.doctor.patient import Patient
from was_daemon.testing.memory import MemoryStore


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


@pytest_twisted.ensureDeferred
async def test_a_store_that_fails_when_it_is_closed_costs_no_finding_and_no_other_stores_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Closed(MemoryStore):
        async def close(self) -> None:
            closed.append(self)

    class Fails(MemoryStore):
        async def close(self) -> None:
            raise AttributeError("'NoneType' object has no attribute 'shutdown'")

    def works(_: Patient) -> Iterator[Finding]:
        yield ok("good", "told")

    monkeypatch.setattr(examination, "CHECKS", [Check("good", works)])
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}})
    examined = attrs.evolve(patient(config), stores={"main": Closed(), "broken": Fails()})
    assert [each.check for each in await examine_and_close(examined)] == ["good"]
    assert len(closed) == 1
