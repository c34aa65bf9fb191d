"""`was-daemon fixity`: what to restore, and what to accept."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.cli import Ran, run
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually

async_test = pytest_twisted.ensureDeferred


@attrs.frozen
class Museum:
    """A daemon with a catalogue, and what can be done to its files behind its back."""

    daemon: Daemon
    client: Client
    database: Path

    @property
    def originals(self) -> Path:
        return self.daemon.store / "originals"

    def run(self, *arguments: str) -> Ran:
        return run(*arguments, "--config", self.daemon.config_file, "--json")

    def verify(self) -> Ran:
        return self.run("verify", "--store", "main")

    def report(self) -> tuple[int, dict[str, str]]:
        """The exit status of `fixity report`, and what it says of each file."""
        ran = self.run("fixity", "report")
        return ran.code, {each["file"]: f"{each['state']}: {each['reason']}" for each in ran.report["files"]}

    def history(self, name: str) -> list[str]:
        with closing(sqlite3.connect(self.database)) as database:
            rows = database.execute("SELECT kind FROM history WHERE name = ? ORDER BY id", (name,))
            return [kind for (kind,) in rows]


@pytest.fixture
def museum(run_daemon: RunDaemon, tmp_path: Path) -> Iterator[Museum]:
    database = tmp_path / "catalogue.sqlite"
    daemon = run_daemon({"catalogue": {"path": database}})
    yield Museum(daemon, Client(daemon.url, KEY), database)


@async_test
async def test_what_verify_finds_is_reported_until_it_is_restored(museum: Museum) -> None:
    await museum.client.store("a.bin", b"as it came")
    await museum.client.store("b.bin", b"b")
    (museum.originals / "a.bin").write_bytes(b"as it cane")
    assert museum.report() == (0, {})
    assert museum.verify().code == 1
    code, files = museum.report()
    assert (code, list(files)) == (1, ["originals/a.bin"])
    told = files["originals/a.bin"]
    assert told.startswith("changed: SHA-256 ")
    assert ", not by the daemon. In the store main. As recorded until 20" in told
    assert (
        told.endswith(
            "10 bytes. Restore it from a backup of that time. "
            "SHA-256 b7f2b5ac8b1b5f67c2ef4b3ee0f1a7cc44bdb6c4d9f9ff4fd4a5e4d9c1f0a3f7"
        )
        or "Restore it from a backup of that time. SHA-256 " in told
    )
    (museum.originals / "a.bin").write_bytes(b"as it came")
    assert museum.report() == (0, {})


@pytest.mark.slow
@async_test
async def test_an_original_of_the_same_content_is_named(museum: Museum) -> None:
    await museum.client.store("a.bin", b"the same")
    await museum.client.store("b.bin", b"the same")
    (museum.originals / "a.bin").unlink()
    museum.verify()
    _, files = museum.report()
    assert files["originals/a.bin"].startswith("missing: In the store main. As recorded until 20")
    assert "originals/b.bin has the same content: copy it. SHA-256" in files["originals/a.bin"]


@pytest.mark.slow
@async_test
async def test_a_copy_of_a_mirror_that_has_the_recorded_bytes_is_named(run_daemon: RunDaemon, tmp_path: Path) -> None:
    disk, copy, database = tmp_path / "disk", tmp_path / "copy", tmp_path / "catalogue.sqlite"
    stores = {
        "main": {"plugin": "mirror", "primary": "disk", "copies": ["copy"], "journal": tmp_path / "journal"},
        "disk": {"plugin": "filesystem", "path": disk},
        "copy": {"plugin": "filesystem", "path": copy},
    }
    daemon = run_daemon({"stores": stores, "collections": {"store": "main"}, "catalogue": {"path": database}})
    museum = Museum(daemon, Client(daemon.url, KEY), database)
    for name in ("a.bin", "b.bin"):
        await museum.client.store(name, b"as it came")
    eventually(lambda: museum.run("mirror", "verify").report["same"] == 2, "for the copies")
    for name in ("a.bin", "b.bin"):
        (disk / "originals" / name).write_bytes(b"as it cane")
    (copy / "originals" / "b.bin").write_bytes(b"neither is")
    museum.verify()
    _, files = museum.report()
    assert "The copy copy has it: mirror repair --deep --prefer copy restores it. SHA-256" in files["originals/a.bin"]
    assert "Restore it from a backup of that time. SHA-256" in files["originals/b.bin"]


@async_test
async def test_a_new_content_or_a_loss_is_accepted_and_the_history_has_both(museum: Museum) -> None:
    for name in ("new.bin", "lost.bin", "whole.bin", "other.bin"):
        await museum.client.store(name, b"as it came")
    (museum.originals / "new.bin").write_bytes(b"as it is")
    (museum.originals / "lost.bin").unlink()
    (museum.originals / "other.bin").unlink()
    museum.verify()
    ran = museum.run("fixity", "accept", "new.bin", "lost.bin", "whole.bin")
    assert (ran.code, ran.report["accepted"], ran.report["unknown"]) == (1, 2, 1)
    assert museum.history("new.bin") == ["stored", "found"]
    assert museum.history("lost.bin") == ["stored", "lost"]
    assert list(museum.report()[1]) == ["originals/other.bin"]
    assert museum.run("fixity", "accept", "--all").code == 0
    assert museum.report() == (0, {})
    assert museum.verify().code == 0


@async_test
async def test_accepting_needs_names_or_all(museum: Museum) -> None:
    assert museum.run("fixity", "accept").code == 2
    assert museum.run("fixity", "accept", "a.bin", "--all").code == 2


@pytest.mark.slow
@async_test
async def test_what_cannot_be_read_at_the_moment_is_reported_as_it_was_found(museum: Museum) -> None:
    await museum.client.store("a.bin", b"as it came")
    (museum.originals / "a.bin").write_bytes(b"as it is")
    museum.verify()
    away = museum.daemon.store.with_name("away")
    museum.daemon.store.rename(away)
    museum.daemon.store.write_text("no directory")
    code, files = museum.report()
    assert (code, files["originals/a.bin"][:7]) == (1, "changed")
    assert "is a disk not mounted?" in files["originals/a.bin"]
    museum.daemon.store.unlink()
    away.rename(museum.daemon.store)


@async_test
async def test_a_disk_that_is_not_mounted_is_not_accepted_as_a_loss(museum: Museum) -> None:
    await museum.client.store("a.bin", b"as it came")
    (museum.originals / "a.bin").unlink()
    museum.verify()
    ran = museum.run("fixity", "accept", "--all")
    assert (ran.code, ran.report["accepted"], ran.report["failed"]) == (1, 0, 1)
    assert museum.run("fixity", "accept", "a.bin").code == 0
    assert museum.history("a.bin") == ["stored", "lost"]


def test_without_a_catalogue_there_is_nothing_to_report(run_daemon: RunDaemon) -> None:
    ran = run("fixity", "report", "--config", run_daemon().config_file)
    assert (ran.code, ran.out) == (1, "")
    assert "there is no catalogue" in ran.err
