"""A daemon that reads databases of Specify, and goes on without them."""

import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from tests.conftest import RunDaemon
from tests.support.cli import run
from tests.support.daemon import Daemon, eventually
from tests.support.databases import mariadb
from tests.support.specify import Specify, new_specify
from tests.web.test_admin import Watched

LOST = "the database of specify.fish cannot be read"


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """MariaDB for databases of Specify."""
    with mariadb() as address:
        yield address


@pytest.fixture
def specify(server: URL) -> Specify:
    """A database with an attachment."""
    made = new_specify(server)
    made.add("a.jpg")
    return made


def config(path: Path, specify: Specify, **values: Any) -> dict[str, Any]:
    return {
        "catalogue": {"path": path / "catalogue.sqlite"},
        "specify.fish": specify.settings(path, every=1, **values),
    }


@pytest.fixture
def watched(run_daemon: RunDaemon, tmp_path: Path) -> Callable[..., Watched]:
    def watch(specify: Specify, server: dict[str, Any] | None = None, **values: Any) -> Watched:
        return Watched(run_daemon, {**config(tmp_path, specify, **values), "server": server or {}})

    return watch


def records(path: Path) -> list[tuple[str, int]]:
    """The names that the catalogue has of records, and whether they are public."""
    with closing(sqlite3.connect(path / "catalogue.sqlite")) as connection:
        try:
            query = "SELECT name, is_public FROM records WHERE NOT is_removed ORDER BY number"
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            # It is being made.
            return []


def read(daemon: Daemon, path: Path, *wanted: tuple[str, int]) -> None:
    eventually(lambda: records(path) == list(wanted), f"for {wanted}, {daemon.log()}")


def test_records_follow_specify(watched: Callable[..., Watched], specify: Specify, tmp_path: Path) -> None:
    seen = watched(specify)
    read(seen.daemon, tmp_path, ("a.jpg", 1))
    specify.add("b.jpg", IsPublic=False)
    specify.run("UPDATE attachment SET IsPublic = FALSE WHERE AttachmentLocation = 'a.jpg'")
    read(seen.daemon, tmp_path, ("a.jpg", 0), ("b.jpg", 0))
    specify.run("DELETE FROM attachment WHERE AttachmentLocation = 'b.jpg'")
    # That is suspicious, of two.
    eventually(lambda: "had 2: fewer than min_share" in seen.health()[1]["specify fish"], "for the doubt")
    assert run("specify", "read", "fish", "--accept-fewer", "--config", seen.daemon.config_file).code == 0
    read(seen.daemon, tmp_path, ("a.jpg", 0))
    eventually(lambda: seen.health()[1]["specify fish"] == "ok", "for the end of the doubt")


def test_what_becomes_private_in_specify_needs_a_token_from_then_on(
    watched: Callable[..., Watched], specify: Specify, tmp_path: Path
) -> None:
    seen = watched(specify, server={"require_token_for_get": "private", "static_access": False})
    assert seen.upload("a.jpg", b"content") == 200

    def status() -> int:
        return seen.get("fileget", filename="a.jpg", coll="", type="O")[0]

    eventually(lambda: status() == 200, "for the record")
    specify.run("UPDATE attachment SET IsPublic = FALSE")
    eventually(lambda: status() == 403, "for the change")


@pytest.mark.slow
def test_without_the_database_all_else_goes_on_and_the_log_says_so_once(
    watched: Callable[..., Watched], specify: Specify, tmp_path: Path
) -> None:
    seen = watched(specify)
    read(seen.daemon, tmp_path, ("a.jpg", 1))
    assert seen.health()[1]["specify fish"] == "ok"
    eventually(lambda: seen.value("was_specify_attachments", source="fish") == 1, "for the number")
    last = seen.value("was_specify_last_read_timestamp_seconds", source="fish")
    assert last > 0
    specify.run("RENAME TABLE attachment TO gone")
    eventually(lambda: seen.value("was_specify_up", source="fish") == 0, "for the outage")
    _, health = eventually(lambda: (found := seen.health())[0] == 503 and found, "for its report")
    assert LOST in health["specify fish"]
    assert "last read: 20" in health["specify fish"]
    assert seen.upload("new.bin", b"content") == 200
    assert seen.get("fileget", filename="new.bin", coll="", type="O") == (200, b"content")
    assert records(tmp_path) == [("a.jpg", 1)]
    told = run("status", "--config", seen.daemon.config_file, "--json")
    assert (told.code, told.report["files"]["specify fish"]["ok"]) == (1, False)
    specify.run("RENAME TABLE gone TO attachment")
    eventually(lambda: "specify.fish: the database is read again" in seen.daemon.log(), "for the database")
    eventually(lambda: seen.health()[0] == 200, "for the report")
    assert seen.daemon.log().count(LOST) == 1
    told = run("status", "--config", seen.daemon.config_file)
    assert told.code == 0
    assert f"/{specify.url.database}, 1 attachments" in told.out


def test_a_daemon_starts_without_the_database_and_reads_it_when_it_is_there(
    watched: Callable[..., Watched], server: URL, tmp_path: Path
) -> None:
    specify = new_specify(server)
    specify.add("a.jpg")
    specify.run("RENAME TABLE attachment TO gone")
    seen = watched(specify)
    eventually(lambda: LOST in seen.daemon.log(), "for the outage")
    assert "last read: never" in seen.health()[1]["specify fish"]
    specify.run("RENAME TABLE gone TO attachment")
    read(seen.daemon, tmp_path, ("a.jpg", 1))


def test_a_server_that_accepts_connections_and_is_silent_does_not_hold_up_the_end(
    run_daemon: RunDaemon, specify: Specify, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = specify.reader.replace(f":{specify.url.port}", f":{silent.getsockname()[1]}")
        daemon = run_daemon(config(tmp_path, Specify(specify.url, url)))
        connection, _ = silent.accept()
        with connection:
            daemon.stop()
    assert "were not closed in time" not in daemon.log()


def test_a_daemon_that_is_killed_while_it_reads_reads_the_rest_at_the_next_start(
    run_daemon: RunDaemon, specify: Specify, tmp_path: Path
) -> None:
    specify.run(
        "INSERT INTO attachment (AttachmentLocation, OrigFilename, TableID, IsPublic, TimestampCreated)"
        " SELECT CONCAT(seq, '.jpg'), 'x', 1, 1, NOW() FROM seq_2_to_20000"
    )
    daemon = run_daemon(config(tmp_path, specify))
    eventually(lambda: records(tmp_path), "for the first records")
    daemon.kill()
    assert 0 < len(records(tmp_path)) < 20_000
    daemon.start()
    eventually(lambda: len(records(tmp_path)) == 20_000, "for the others")


def test_a_reload_reads_another_database_and_a_new_password(
    watched: Callable[..., Watched], specify: Specify, server: URL, tmp_path: Path
) -> None:
    other = new_specify(server)
    other.add("b.jpg")
    seen = watched(specify)
    read(seen.daemon, tmp_path, ("a.jpg", 1))
    (tmp_path / "specify-password").write_text("wrong")
    eventually(lambda: "Access denied" in seen.daemon.log(), "for the wrong password")
    seen.daemon.write_config({**config(tmp_path, other), "server": {"admin_listen": seen.listen}})
    os.kill(seen.daemon.pid, signal.SIGHUP)
    read(seen.daemon, tmp_path, ("b.jpg", 1))
    eventually(lambda: seen.value("was_specify_up", source="fish") == 1, "for the metric")
    seen.daemon.write_config({"server": {"admin_listen": seen.listen}})
    os.kill(seen.daemon.pid, signal.SIGHUP)
    eventually(lambda: "specify fish" not in seen.health()[1], "for the end of the report")
    assert ("was_specify_up", frozenset({("source", "fish")})) not in seen.samples()


def test_of_several_processes_the_first_reads(
    watched: Callable[..., Watched], specify: Specify, tmp_path: Path
) -> None:
    seen = watched(specify, server={"workers": 2})
    read(seen.daemon, tmp_path, ("a.jpg", 1))
    seen.daemon.await_processes()
    of = [dict(labels) for name, labels in seen.samples() if name == "was_specify_up"]
    assert of == [{"source": "fish", "process": "1"}]


def test_two_daemons_with_one_catalogue_agree(run_daemon: RunDaemon, specify: Specify, tmp_path: Path) -> None:
    daemons = [run_daemon(config(tmp_path, specify)) for _ in range(2)]
    read(daemons[0], tmp_path, ("a.jpg", 1))
    for number in range(3):
        specify.add(f"{number}.jpg")
    read(daemons[1], tmp_path, ("a.jpg", 1), *((f"{number}.jpg", 1) for number in range(3)))
    assert [line for daemon in daemons for line in daemon.log().splitlines() if "specify.fish" in line] == []
