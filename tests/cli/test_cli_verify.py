"""Checksums that the daemon records, and `was-daemon verify`, which compares stored files with them."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.support.cli import Ran, run
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.gated import CLOSED, Gate
from tests.support.remotes import make_far_end
from was_daemon.testing.streams import payload

RunDaemon = Callable[..., Daemon]


@attrs.frozen
class Museum:
    """A daemon that records checksums, and what can be done to its files behind its back."""

    daemon: Daemon
    client: Client

    @property
    def originals(self) -> Path:
        return self.daemon.store / "originals"

    def verify(self, *options: str) -> Ran:
        return run("verify", "--store", "main", "--config", self.daemon.config_file, "--json", *options)

    def counts(self, *options: str) -> dict[str, int]:
        """The states that some files are in."""
        return {state: number for state, number in self.verify(*options).report.items() if state != "files" and number}


@pytest.fixture
def museum(run_daemon: RunDaemon, tmp_path: Path) -> Museum:
    daemon = run_daemon({"catalogue": {"path": tmp_path / "state/catalogue.sqlite"}})
    return Museum(daemon, Client(daemon.url, KEY))


@pytest_twisted.ensureDeferred
async def test_what_was_uploaded_and_is_unchanged_is_in_order(museum: Museum) -> None:
    await museum.client.store("a.bin", payload(3_000_000))
    await museum.client.store("Käfer.bin", b"")
    assert (museum.verify().code, museum.counts()) == (0, {"ok": 2})


@pytest_twisted.ensureDeferred
async def test_a_flipped_bit_and_a_file_that_is_gone_are_found(museum: Museum) -> None:
    for name in ("whole.bin", "rotten.bin", "short.bin", "gone.bin"):
        await museum.client.store(name, b"0123456789")
    with (museum.originals / "rotten.bin").open("r+b") as file:
        file.write(b"1")
    os.truncate(museum.originals / "short.bin", 5)
    (museum.originals / "gone.bin").unlink()
    ran = museum.verify()
    assert (ran.code, museum.counts()) == (1, {"ok": 1, "changed": 2, "missing": 1})
    found = {each["file"]: each for each in ran.report["files"]}
    assert found["originals/gone.bin"]["state"] == "missing"
    assert found["originals/short.bin"]["reason"].startswith("5 bytes instead of 10; written on ")
    assert (
        "instead of 84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
        in (found["originals/rotten.bin"]["reason"])
    )


@pytest_twisted.ensureDeferred
async def test_replacing_and_deleting_through_the_daemon_is_no_difference(museum: Museum) -> None:
    await museum.client.store("a.bin", b"old")
    await museum.client.store("a.bin", b"new")
    await museum.client.store("b.bin", b"b")
    await museum.client.delete("b.bin")
    assert museum.counts() == {"ok": 1}


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_what_was_copied_into_the_store_is_recorded_when_asked(museum: Museum) -> None:
    await museum.client.store("a.bin", b"a")
    (museum.originals / "b.bin").write_bytes(b"b")
    assert (museum.verify().code, museum.counts()) == (0, {"ok": 1, "unrecorded": 1})
    assert museum.counts("--record") == {"ok": 1, "recorded": 1}
    assert museum.counts() == {"ok": 2}
    (museum.originals / "b.bin").write_bytes(b"c")
    assert museum.counts("--record") == {"ok": 1, "changed": 1}


@pytest_twisted.ensureDeferred
async def test_a_refused_replacement_keeps_the_record_of_what_is_there(run_daemon: RunDaemon, tmp_path: Path) -> None:
    daemon = run_daemon({"catalogue": {"path": tmp_path / "catalogue.sqlite"}})
    museum = Museum(daemon, Client(daemon.url, KEY))
    await museum.client.store("a.bin", b"a")
    (museum.originals / "a.bin").unlink()
    (museum.originals / "a.bin").mkdir()
    assert (await museum.client.upload_like_specify7("a.bin", b"b")).status == 503
    assert museum.counts() == {"missing": 1}


@pytest_twisted.ensureDeferred
async def test_a_daemon_killed_while_it_replaces_a_file_accuses_nobody(run_daemon: RunDaemon, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "publishing")
    config = gate.config(tmp_path / "gated") | {"catalogue": {"path": str(tmp_path / "catalogue.sqlite")}}
    daemon = run_daemon(config)
    client = Client(daemon.url, KEY)
    first = Deferred.fromCoroutine(client.upload_like_specify7("a.bin", b"old"))
    await deferToThread(gate.open)
    assert (await first).status == 200
    verify = ("verify", "--store", "main", "--config", daemon.config_file, "--json")
    assert run(*verify).report["ok"] == 1
    second = Deferred.fromCoroutine(client.upload_like_specify7("a.bin", b"new"))
    second.addErrback(lambda _: None)
    await deferToThread(eventually, lambda: daemon.log().count(CLOSED) == 2, "for the new file at the gate")
    await deferToThread(daemon.kill)
    await second
    ran = run(*verify)
    assert (ran.code, ran.report["ok"], ran.report["changed"]) == (0, 1, 0)


@pytest_twisted.ensureDeferred
async def test_an_upload_does_not_fail_because_of_the_record(run_daemon: RunDaemon, tmp_path: Path) -> None:
    (tmp_path / "catalogue.journal.sqlite").write_bytes(b"this is no database" * 100)
    daemon = run_daemon({"catalogue": {"path": tmp_path / "catalogue.sqlite"}})
    client = Client(daemon.url, KEY)
    await client.store("a.bin", b"a")
    assert (await client.original("a.bin")).body == b"a"
    assert (await client.delete("a.bin")).status == 200
    assert "the journal of the catalogue cannot be used" in daemon.log()


@pytest_twisted.ensureDeferred
async def test_the_record_lies_outside_the_store_and_is_private(museum: Museum, tmp_path: Path) -> None:
    await museum.client.store("a.bin", b"a")
    path = tmp_path / "state/catalogue.sqlite"
    eventually(path.exists, "for the catalogue")
    assert {each.stat().st_mode & 0o777 for each in path.parent.glob("*.sqlite")} == {0o600}

    def recorded() -> list[tuple[str, ...]]:
        with suppress(sqlite3.OperationalError), sqlite3.connect(path) as database:
            return database.execute("SELECT store, collection, name, size FROM assets").fetchall()
        return []

    assert eventually(recorded, "for the record") == [("main", "", "a.bin", 1)]
    assert [path.name for path in museum.originals.iterdir() if path.is_file()] == ["a.bin"]


def test_without_a_record_there_is_nothing_to_verify(run_daemon: RunDaemon) -> None:
    ran = run("verify", "--store", "main", "--config", run_daemon().config_file)
    assert ran.code == 1
    assert "set path in the section [catalogue]" in ran.err
    assert not ran.out


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_store_that_is_down_has_lost_nothing(run_daemon: RunDaemon, tmp_path: Path) -> None:
    far_end = make_far_end("sftp", tmp_path / "far")
    far_end.start()
    try:
        catalogue = {"path": tmp_path / "catalogue.sqlite"}
        daemon = run_daemon({"stores": {"main": far_end.table()}, "catalogue": catalogue})
        await Client(daemon.url, KEY).store("a.bin", b"a")
        verify = ("verify", "--store", "main", "--config", daemon.config_file, "--json")
        assert run(*verify).report["ok"] == 1
        far_end.kill()
        ran = run(*verify)
        assert (ran.code, ran.report["missing"]) == (1, 0)
        assert "Error: " in ran.err
    finally:
        far_end.remove()
