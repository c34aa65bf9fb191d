"""What each of several processes gets, and what they share."""

import fcntl
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, ServerFactory

from tests.support.daemon import clean_environment
from tests.support.processes import eventually
from was_daemon.concurrency.exclusion import Exclusion
from was_daemon.config.load import ConfigError, load
from was_daemon.config.settings import Settings
from was_daemon.config.share import Share
from was_daemon.daemon.siblings.accepting import Accepting
from was_daemon.daemon.siblings.board import Board
from was_daemon.health.figures import together
from was_daemon.health.overview import Overview
from was_daemon.library.spool import Spool


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "was.toml"
    config.write_text(
        f"""
        [server]
        key = "key"
        admin_listen = ["tcp:0"]
        [thumbnails]
        workers = 5
        queue = 100
        [stores.main]
        plugin = "filesystem"
        path = "{tmp_path}"
        [spool]
        max_size = 900
        """
    )
    config.chmod(0o600)
    return load(config, clean_environment())


def test_what_is_for_the_machine_is_divided_and_each_has_a_worker(settings: Settings) -> None:
    for of, workers in [(2, [3, 2]), (3, [2, 2, 1]), (7, [1] * 7)]:
        shares = [Share(number, of).settings(settings) for number in range(1, of + 1)]
        assert [share.thumbnails.workers for share in shares] == workers
        assert sum(share.thumbnails.queue for share in shares) == 100
        assert sum(share.spool.max_size for share in shares) <= 900
        assert [share.server.admin_listen for share in shares] == [["tcp:0"], *[[]] * (of - 1)]
    assert Share().settings(settings) is settings


def test_a_number_of_processes_is_checked(settings: Settings, tmp_path: Path) -> None:
    config = tmp_path / "was.toml"
    text = config.read_text()
    config.write_text(text.replace("[server]", "[server]\nworkers = 0"))
    with pytest.raises(ConfigError, match=r"server\.workers: must be at least 1, got 0"):
        load(config, clean_environment())
    config.write_text(text.replace("[server]", "[server]\nworkers = 5000"))
    (warning,) = load(config, clean_environment()).warnings
    assert warning.startswith("server.workers is 5000, more than this machine's processors")


def test_whoever_has_no_more_connections_than_all_others_goes_first() -> None:
    fd = Board.create(3)
    boards = [Board(fd, Share(number, 3)) for number in (1, 2, 3)]
    os.close(fd)
    assert not any(board.is_another_less_busy() for board in boards)
    boards[0].say(2)
    boards[1].say(1)
    boards[2].say(1)
    assert [board.is_another_less_busy() for board in boards] == [True, False, False]
    boards[0].leave(2)
    boards[0].leave(3)
    assert not boards[0].is_another_less_busy()


def test_a_connection_is_left_to_who_has_fewer_for_a_moment() -> None:
    fd = Board.create(2)
    board = Board(fd, Share(1, 2))
    os.close(fd)
    factory = ServerFactory.forProtocol(Protocol)
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as clients:
        listening.setblocking(False)
        accepting = Accepting(listening, factory, board)

        def wants_to_connect() -> None:
            clients.enter_context(socket.create_connection(listening.getsockname()))
            select.select([listening], [], [])
            accepting.doRead()

        def is_left() -> bool:
            try:
                listening.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        try:
            wants_to_connect()
            assert not is_left()
            board.say(1)
            wants_to_connect()
            assert is_left()
            # The other was faster, and for the next one the same holds.
            accepting.doRead()
            wants_to_connect()
            # Nobody took it in that moment.
            accepting.doRead()
            assert not is_left()
        finally:
            accepting.stop()


_HOLD = """
import fcntl, os, sys
fd, byte = map(int, sys.argv[1:])
fcntl.lockf(fd, fcntl.LOCK_EX, 1, byte)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_elsewhere(fd: int, byte: int) -> Iterator[subprocess.Popen[str]]:
    """A process that has locked that byte."""
    command = [sys.executable, "-c", _HOLD, str(fd), str(byte)]
    with subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        yield other


@pytest_twisted.ensureDeferred
async def test_what_another_process_is_at_is_waited_for_also_when_that_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fd = Board.create(2)
    exclusion = Exclusion(fd)
    taken: list[int] = []
    lock = fcntl.lockf

    def noting(fd: int, operation: int, length: int, byte: int) -> None:
        taken.append(byte)
        lock(fd, operation, length, byte)

    monkeypatch.setattr(fcntl, "lockf", noting)

    async def hold(name: str) -> bool:
        async with exclusion.holding(name) as has_waited:
            return has_waited

    assert not await hold("a")
    with locked_elsewhere(fd, taken[0]) as other:
        assert not await hold("b")
        waiting = Deferred.fromCoroutine(hold("a"))
        before = len(taken)
        await eventually(lambda: len(taken) > before + 2)
        assert not waiting.called
        other.kill()
        assert await waiting
    os.close(fd)


def test_the_metrics_of_processes_differ_by_a_label() -> None:
    def counted(value: float) -> list[dict[str, object]]:
        samples = [["was_requests_total", {"status": "200"}, value]]
        return [{"name": "was_requests", "documentation": "Requests", "type": "counter", "samples": samples}]

    text = together({1: counted(3), 2: counted(4)}).decode()
    (family,) = text_string_to_metric_families(text)
    assert [(sample.labels["process"], sample.value) for sample in family.samples] == [("1", 3.0), ("2", 4.0)]
    assert text.count("# TYPE") == 1


def test_the_overview_is_of_all() -> None:
    one = Overview(stores=2, running=1, waiting=2, errors=3, uptime=50)
    two = Overview(stores=2, stores_failing=1, running=1, background=5, errors=1, failed_requests=1, uptime=9)
    assert one.with_others([two]) == Overview(
        stores=2, stores_failing=1, running=2, waiting=2, background=5, errors=4, failed_requests=1, uptime=50
    )


@pytest_twisted.ensureDeferred
async def test_each_process_has_its_copies_in_the_spool_and_those_of_nobody_are_removed(tmp_path: Path) -> None:
    for number in (2, 3):
        (tmp_path / f"copies-{number}").mkdir()
        (tmp_path / f"copies-{number}" / f"was-{number:064x}.copy").write_bytes(b"content")
    spools = [Spool(tmp_path, 100, share=Share(number, 2)) for number in (1, 2)]
    for spool in spools:
        await spool.start()
    assert [spool.size for spool in spools] == [0, 7]
    assert not (tmp_path / "copies-3").exists()
    for spool in spools:
        await spool.close()
