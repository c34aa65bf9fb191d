"""`was-daemon catalogue backup`: a copy that is whole, private, and made while the daemon runs."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest_twisted

from tests.support.cli import run, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon

MAIN = {"plugin": "filesystem", "path": "/nowhere"}


def names(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in connection.execute("SELECT name FROM assets ORDER BY name")]


@pytest_twisted.ensureDeferred
async def test_it_has_all_uploads_and_replaces_an_older_copy(run_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = run_daemon({"catalogue": {"path": tmp_path / "catalogue.sqlite"}})
    client = Client(daemon.url, KEY)
    copy = tmp_path / "copies" / "catalogue.sqlite"
    copy.parent.mkdir()
    for name in ("a.bin", "b.bin"):
        await client.store(name, b"a")
        ran = run("catalogue", "backup", copy, "--config", daemon.config_file)
        assert (ran.code, ran.out.split(": ")[0]) == (0, str(copy)), ran.err
    assert names(copy) == ["a.bin", "b.bin"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert list(copy.parent.iterdir()) == [copy]


@pytest_twisted.ensureDeferred
async def test_a_copy_that_cannot_be_written_leaves_the_older_one(
    run_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon = run_daemon({"catalogue": {"path": tmp_path / "catalogue.sqlite"}})
    await Client(daemon.url, KEY).store("a.bin", b"a")
    assert run("catalogue", "backup", tmp_path / "copy", "--config", daemon.config_file).code == 0
    (tmp_path / ".copy.part").mkdir()
    before = (tmp_path / "copy").read_bytes()
    ran = run("catalogue", "backup", tmp_path / "copy", "--config", daemon.config_file)
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be written" in ran.err
    assert (tmp_path / "copy").read_bytes() == before


def test_a_servers_database_is_saved_by_the_servers_tools(tmp_path: Path) -> None:
    catalogue = {"url": "postgresql://was@127.0.0.1/was", "journal": tmp_path / "journal.sqlite"}
    config = write_config(tmp_path, {"main": MAIN}, catalogue=catalogue)
    ran = run("catalogue", "backup", tmp_path / "copy", "--config", config)
    assert ran.code == 1
    assert "use pg_dump or mariadb-dump" in ran.err
    assert not (tmp_path / "copy").exists()
