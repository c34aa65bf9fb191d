"""Daemons on one store know of each other, and two on one port are noticed."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from storage_plugins.filesystem import FilesystemStore
from tests.conftest import RunDaemon
from tests.daemon.test_reload import reload
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.local.presence import PresenceFile
from was_daemon.testing.streams import chunked

HOST = socket.gethostname()


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_on_a_store_says_who_uses_it_and_works(run_daemon: RunDaemon, tmp_path: Path) -> None:
    stores = {"stores": {"main": {"plugin": "filesystem", "path": str(tmp_path / "files")}}}
    first = run_daemon(stores)
    eventually(lambda: any((tmp_path / "files/.daemons").glob("*")), "for the first to settle in")
    second = run_daemon(stores)
    line = f"process {first.pid} on {HOST} uses files in {tmp_path / 'files'}, too"
    eventually(lambda: line in second.log(), "for the line")
    assert "too" not in first.log()
    await Client(first.url, KEY).store("a.jpg", b"content")
    assert (await Client(second.url, KEY).original("a.jpg")).body == b"content"
    third = run_daemon(stores)
    numbers = sorted(f"process {daemon.pid} on {HOST}" for daemon in (first, second))
    eventually(lambda: f"{' and '.join(numbers)} uses files" in third.log(), "for a line that names both")


def test_a_daemon_that_has_ended_is_not_named(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    present = daemon.store / ".daemons"
    for end in (daemon.stop, daemon.kill):
        eventually(lambda: any(present.glob("*")), "for the daemon to settle in")
        end()
        left = list(present.glob("*"))
        daemon.start()
    (killed,) = left
    eventually(lambda: not killed.exists(), "for what was left to be removed")
    assert "too" not in daemon.log()
    daemon.stop()
    assert list(present.iterdir()) == []


def test_a_reload_with_another_layout_is_not_named(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    present = daemon.store / ".daemons"
    (before,) = eventually(lambda: list(present.glob("*")), "for the daemon to settle in")
    reload(daemon, {"stores": {"main": {"plugin": "filesystem", "path": str(daemon.store), "layout": "sharded"}}})
    eventually(lambda: not before.exists() and list(present.iterdir()), "for the new store to take over")
    assert "too" not in daemon.log()


@pytest_twisted.ensureDeferred
async def test_a_store_that_is_closed_while_it_settles_in_leaves_nothing(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path, Layout.FLAT)
    asked = Deferred.fromCoroutine(store.announce())
    await store.close()
    assert await asked == []
    assert list((tmp_path / ".daemons").iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_a_store_settles_in_once_however_often_it_is_asked(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path, Layout.FLAT)
    asked = [Deferred.fromCoroutine(store.announce()) for _ in range(2)]
    assert [await each for each in asked] == [[], []]
    await store.close()
    assert list((tmp_path / ".daemons").iterdir()) == []


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system of this machine is without locks."""

    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture
def presence(tmp_path: Path, no_locks: None) -> Iterator[PresenceFile]:
    presence = PresenceFile(tmp_path)
    yield presence
    presence.remove()


def test_without_locks_who_was_here_within_a_day_counts(tmp_path: Path, presence: PresenceFile) -> None:
    for number, age in [(1, 0), (2, 25 * 3600)]:
        path = tmp_path / ".daemons" / f"{number}@host-{number:032x}-{number:032x}"
        path.touch()
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert presence.others() == ["process 1 on host"]


@pytest_twisted.ensureDeferred
async def test_without_locks_a_store_works(tmp_path: Path, no_locks: None) -> None:
    store = FilesystemStore(tmp_path, Layout.FLAT)
    try:
        await store.check()
        assert await store.announce() == []
        key = AssetKey("", Kind.ORIGINAL, "a.jpg")
        assert (await store.write(key, chunked(b"content"))).size == 7
        staged = await store.stage(key)
        assert await store.clean([""]) == 0
        assert staged.path.exists()
        staged.discard()
    finally:
        await store.close()


def test_a_port_that_is_taken_is_one_clear_line(run_daemon: RunDaemon) -> None:
    first, second = run_daemon(), run_daemon()
    second.stop()
    second.port = first.port
    second.write_config({})
    before = len(second.log())
    second.launch()
    assert second.wait() == 1
    lines = [line for line in second.log()[before:].splitlines() if "Cannot listen" in line]
    assert len(lines) == 1
    assert f"Cannot listen on tcp:{first.port}:interface=127.0.0.1" in lines[0]
    assert "Address already in use" in lines[0]
    assert "Traceback" not in second.log()
