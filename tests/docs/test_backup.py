"""The guide to backup and restore: what it tells an administrator to type brings everything back."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted

from tests.support.client import Client
from tests.support.daemon import KEY
from tests.support.guides import Machine, page, tried
from tests.support.http_contract import BLUE, RED, plain_picture, shows

NOBODY = 65534
NAME = "6e0c0e9c-2f5b-4a51-9d5e-0c9a8f5fbb8e.jpg"
NIGHTLY, EXAMINE, WHOLE, DIRECTORY, TRASH, ONE = tried(page("backup.md"), "tests/docs/test_backup.py")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Machine.running(tmp_path, {"trash": {"keep": "30 days"}}) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> Client:
    return Client(machine.daemon.url, KEY)


def history(database: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT source, at, kind, name, sha256 FROM history ORDER BY id").fetchall()


def found(machine: Machine, name: str) -> dict[str, object]:
    """The row of an original in the catalogue."""
    row: dict[str, object] = json.loads(machine.run(f"was-daemon find {name} --json --config /etc/was-daemon/was.toml"))
    return row


def events(machine: Machine, name: str) -> list[str]:
    """What has happened to an original."""
    lines = machine.run(f"was-daemon find {name} --history --json --config /etc/was-daemon/was.toml").splitlines()
    return [json.loads(line)["kind"] for line in lines]


@pytest_twisted.ensureDeferred
async def test_what_is_backed_up_and_destroyed_comes_back_with_its_history(machine: Machine, client: Client) -> None:
    await client.store("kept.bin", b"kept")
    await client.store("replaced.bin", b"old")
    await client.store("replaced.bin", b"new")
    await client.store("deleted.bin", b"deleted")
    await client.delete("deleted.bin")
    machine.run(NIGHTLY)
    before = history(machine.backup / "catalogue.sqlite")
    assert [kind for _, _, kind, *_ in before] == ["stored", "stored", "replaced", "stored", "deleted"]
    assert (machine.backup / "catalogue.sqlite").stat().st_mode & 0o777 == 0o600
    await client.store("late.bin", b"after the backup")
    machine.daemon.stop()

    for directory in (machine.etc, machine.store, machine.state):
        shutil.rmtree(directory)
    machine.state.mkdir()
    assert machine.run(WHOLE).startswith("2 as recorded, 0 changed, 0 missing")
    assert history(machine.state / "catalogue.sqlite") == before
    machine.daemon.start()
    assert (await client.original("replaced.bin")).body == b"new"
    assert (await client.original("late.bin")).status == 404
    await client.store("next.bin", b"next")


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_backup_is_examined_without_being_restored(machine: Machine, client: Client) -> None:
    await client.store("kept.bin", b"kept")
    await client.store("damaged.bin", b"before")
    machine.run(NIGHTLY)
    before = sorted(machine.backup.rglob("*"))
    assert machine.run(EXAMINE).startswith("2 as recorded, 0 changed, 0 missing")
    assert sorted(machine.backup.rglob("*")) == before
    (machine.backup / "attachments/originals/damaged.bin").write_bytes(b"after!")
    *first, last = EXAMINE.splitlines()
    said = machine.run("\n".join([*(line.replace("was-daemon verify", "! was-daemon verify") for line in first), last]))
    assert "changed   originals/damaged.bin" in said
    assert (await client.original("damaged.bin")).body == b"before"


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_directory_that_was_removed_comes_back_while_the_daemon_runs(machine: Machine, client: Client) -> None:
    for name in ("a.jpg", "b.jpg"):
        await client.store(name, plain_picture(RED))
    machine.run(NIGHTLY)
    await client.store("later.jpg", plain_picture(BLUE))
    (machine.store / "originals/a.jpg").unlink()
    shutil.rmtree(machine.store / "thumbnails", ignore_errors=True)
    assert machine.run(DIRECTORY).startswith("3 as recorded, 0 changed, 0 missing")
    assert shows(await client.thumbnail("a.jpg", 50), RED)
    assert shows(await client.thumbnail("later.jpg", 50), BLUE)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_deleted_file_comes_back_from_the_backup_with_its_thumbnail_and_its_row(
    machine: Machine, client: Client
) -> None:
    await client.store(NAME, plain_picture(RED), coll="Fish")
    assert shows(await client.thumbnail(NAME, 50), RED)
    machine.run(NIGHTLY)
    before = found(machine, NAME)
    assert (await client.delete(NAME)).status == 200
    machine.run("was-daemon trash empty --all --yes --config /etc/was-daemon/was.toml")
    assert (await client.thumbnail(NAME, 50)).status == 404

    assert "Ok." in machine.run(ONE)
    assert (await client.original(NAME)).body == plain_picture(RED)
    assert shows(await client.thumbnail(NAME, 50), RED)
    row = found(machine, NAME)
    assert {key: row[key] for key in ("size", "sha256", "md5", "name")} == {
        key: before[key] for key in ("size", "sha256", "md5", "name")
    }
    assert row["file_name"] == "IMG_8032.jpg"
    assert sorted(events(machine, NAME)) == ["deleted", "stored", "stored"]


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_damaged_file_is_replaced_by_that_of_the_backup_and_no_thumbnail_of_the_damage_is_left(
    machine: Machine, client: Client
) -> None:
    await client.store(NAME, plain_picture(RED))
    machine.run(NIGHTLY)
    # As a disk damages a file: its size and time stay as they were.
    path = machine.store / "originals" / NAME
    times, blue = path.stat(), plain_picture(BLUE)
    path.write_bytes(blue)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert shows(await client.thumbnail(NAME, 50), BLUE)
    machine.run("! was-daemon verify --store main --config /etc/was-daemon/was.toml")
    assert "changed" in machine.run("! was-daemon fixity report --config /etc/was-daemon/was.toml")

    assert "Ok." in machine.run(ONE)
    assert shows(await client.thumbnail(NAME, 50), RED)
    assert (await client.original(NAME)).body == plain_picture(RED)
    said = machine.run("was-daemon fixity report --config /etc/was-daemon/was.toml")
    assert said.startswith("0 changed, 0 missing, 0 unreadable")
    assert machine.run("was-daemon verify --store main --config /etc/was-daemon/was.toml").startswith("1 as recorded")


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_file_comes_back_from_the_trash(machine: Machine, client: Client) -> None:
    await client.store(NAME, plain_picture(RED))
    await client.delete(NAME)
    assert "1 restored" in machine.run(TRASH)
    assert shows(await client.thumbnail(NAME, 50), RED)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_does_it_for_a_daemon_of_another_user() -> None:
    root = Path(tempfile.mkdtemp(prefix="was-test-"))
    root.chmod(0o755)
    try:
        machine = Machine.made(root)
        (machine.store / "originals").mkdir()
        (machine.store / "originals/a.jpg").write_bytes(plain_picture(RED))
        for directory in (machine.store, machine.state, machine.backup, root / "daemon"):
            for path in (directory, *directory.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        machine.backup.chmod(0o700)
        machine.run("was-daemon catalogue rebuild --config /etc/was-daemon/was.toml")
        machine.run(NIGHTLY)
        for commands in (EXAMINE, WHOLE, DIRECTORY):
            assert machine.run(commands).startswith("1 as recorded, 0 changed")
        kept = (*machine.state.rglob("*"), *machine.store.rglob("*"), machine.backup / "catalogue.sqlite")
        assert {path.stat().st_uid for path in kept} == {NOBODY}
    finally:
        shutil.rmtree(root)
