"""Several processes that serve the same ports: `[server] workers`."""

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunDaemon
from tests.daemon.test_reload import DONE, hang_up, reload
from tests.daemon.test_stop import PATIENT, accepts, answers, content, get, put
from tests.support.client import Client, Connection
from tests.support.daemon import BIN, KEY, Daemon, descriptors, eventually
from tests.support.images import photograph
from tests.support.ports import free_port
from tests.support.tls import self_signed
from tests.web.test_admin import Watched

pytestmark = pytest.mark.slow

TWO = {"server": {"workers": 2}}


def together(*configs: dict[str, Any]) -> dict[str, Any]:
    """Configurations in one, the later before the earlier."""
    merged: dict[str, Any] = {}
    for config in configs:
        for section, table in config.items():
            merged[section] = {**merged.get(section, {}), **table}
    return merged


@pytest.fixture
def run_two(run_daemon: RunDaemon) -> Any:
    """Starts a daemon of two processes, and waits for both."""

    def run(config: dict[str, Any] | None = None, environ: dict[str, str] | None = None) -> Daemon:
        daemon = run_daemon(together(TWO, config or {}), environ)
        daemon.await_processes()
        return daemon

    return run


@contextmanager
def connected(daemon: Daemon, each: int, path: str = "/") -> Iterator[list[Connection]]:
    """Connections on which `path` was asked for, at least so many to each process."""
    client = Client(daemon.url, KEY)
    with ExitStack() as stack:
        connections: list[Connection] = []
        # The system gives each connection to one of them by chance.
        while min(owners(daemon).values()) < each:
            assert len(connections) < 50 * each
            connections.append(stack.enter_context(client.connect(receive_buffer=4096)))
            get(connections[-1], path)
            assert connections[-1].has_answer(30)
        yield connections


@contextmanager
def conversing(daemon: Daemon, each: int) -> Iterator[list[Connection]]:
    """Connections that have had an answer, at least so many to each process."""
    with connected(daemon, each) as connections:
        for connection in connections:
            assert connection.answer().status == 200
        yield connections


def owners(daemon: Daemon) -> Counter[int]:
    """How many connections of its clients each process has."""
    return Counter({pid: len(ports) for pid, ports in _clients(daemon).items()})


def of_each(daemon: Daemon, connections: list[Connection]) -> list[Connection]:
    """A connection to each process, in the order of their numbers."""
    clients = _clients(daemon)
    return [
        next(connection for connection in connections if connection.port in clients[pid])
        for _, pid in sorted(daemon.processes().items())
    ]


def _clients(daemon: Daemon) -> dict[int, set[int]]:
    """The ports of the clients that each process is connected to."""
    end = f":{daemon.port:04X}"
    ports = {
        f"socket:[{inode}]": int(remote.rpartition(":")[2], 16)
        for local, remote, state, inode in _sockets()
        if local.endswith(end) and state == "01"
    }
    pids = daemon.processes().values()
    return {pid: {ports[thing] for thing in descriptors(pid) if thing in ports} for pid in pids}


def _sockets() -> Iterator[tuple[str, str, str, str]]:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        yield fields[1], fields[2], fields[3], fields[9]


def is_answered(connection: Connection) -> bool:
    """Whether there is still somebody at the other end."""
    try:
        get(connection, "/")
        return connection.answer().status == 200
    except (AssertionError, OSError):
        return False


# -- serving -----------------------------------------------------------------------------------------------------------


def test_ports_with_and_without_tls_are_served_by_all(run_two: Any, tmp_path: Path) -> None:
    pem, port = self_signed(tmp_path), free_port()
    daemon = run_two({"server": {"listen": [f"ssl:{port}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"]}})
    with conversing(daemon, 1):
        over_tls = ["curl", "-sk", f"https://127.0.0.1:{port}/"]
        for _ in range(6):
            assert subprocess.run(over_tls, capture_output=True, check=True).stdout == b"It works!"


def test_a_second_daemon_does_not_get_a_part_of_the_clients_of_the_first(run_two: Any, tmp_path: Path) -> None:
    first = run_two()
    for workers in (1, 2):
        second = Daemon(tmp_path / f"second{workers}", {"server": {"workers": workers}})
        second.port = first.port
        second.write_config({"server": {"workers": workers}})
        second.launch()
        assert second.wait() == 1
        assert f"Cannot listen on tcp:{first.port}:interface=127.0.0.1" in second.log()


@pytest.mark.slow
def test_a_new_thumbnail_is_made_once_in_each_process_that_is_asked_for_it(run_daemon: RunDaemon) -> None:
    watched = Watched(run_daemon, TWO)
    daemon = watched.daemon
    daemon.await_processes()
    put(daemon, "a.jpg", photograph((1200, 900)))
    with conversing(daemon, 8) as connections:
        for connection in connections:
            get(connection, "/fileget?filename=a.jpg&type=T&scale=123")
        pictures = {connection.answer().body for connection in connections}
    assert len(pictures) == 1
    for process in "12":
        done = watched.samples().get(
            ("was_jobs_total", (("kind", "thumbnail"), ("outcome", "done"), ("process", process)))
        )
        assert done in (None, 1)


@pytest.mark.slow
def test_monitoring_and_the_status_page_know_of_all_processes(run_daemon: RunDaemon) -> None:
    watched = Watched(run_daemon, TWO)
    daemon = watched.daemon
    daemon.await_processes()
    with conversing(daemon, 2) as connections:
        for process in "12":
            assert watched.value("was_requests_total", endpoint="index", status="200", process=process) >= 2
            assert watched.value("was_connections", process=process) >= 2
            assert watched.value("was_store_up", store="main", process=process) == 1
        before = daemon.log()
        assert watched.health()[1]["processes"] == "ok"
        assert daemon.log() == before
        second = daemon.processes()[2]
        os.kill(second, signal.SIGSTOP)
        try:
            status, document = watched.health()
            assert (status, document["problems"]) == (503, ["process 2: does not serve"])
            assert watched.value("was_healthy", process="1") == 1
            assert watched.value("was_healthy", process="2") == 0
        finally:
            os.kill(second, signal.SIGCONT)
        eventually(lambda: watched.health()[0] == 200, "for the process to answer again")
        for connection in connections:
            connection.send(b"GET / HTTP/1.1\r\nHost: was\r\nAccept: text/html\r\n\r\n")
            page = connection.answer()
            assert page.status == 200
            assert "<h1>It works!</h1>" in page.text
            assert re.search("process [12] of 2, running for", page.text)
    assert "too" not in [line.rpartition(" ")[2] for line in daemon.log().splitlines()]


# -- life and death ----------------------------------------------------------------------------------------------------


def test_a_killed_process_is_replaced_and_those_who_wait_for_it_are_served_by_its_successor(run_two: Any) -> None:
    daemon = run_two()
    second = daemon.processes()[2]
    with ExitStack() as stack, conversing(daemon, 1) as connections:
        its = owners(daemon)[second]
        os.kill(second, signal.SIGSTOP)
        waiting = []
        # Some wait in the socket of the one that cannot accept them.
        while owners(daemon).total() == len(connections) + len(waiting):
            assert len(waiting) < 50
            waiting.append(stack.enter_context(Client(daemon.url, KEY).connect()))
            get(waiting[-1], "/")
            waiting[-1].has_answer(0.5)
        os.kill(second, signal.SIGKILL)
        eventually(lambda: "Process 2 ended, killed by SIGKILL; its successor starts" in daemon.log(), "for the line")
        assert sum(map(is_answered, connections)) == len(connections) - its
        for connection in waiting:
            assert connection.answer().status == 200
    daemon.await_processes(2)


@pytest.mark.slow
def test_if_the_parent_is_killed_none_stays_behind(run_two: Any) -> None:
    daemon = run_two()
    put(daemon, "a.jpg", photograph((400, 300)))
    with conversing(daemon, 1) as connections:
        for scale, connection in enumerate(connections, 100):
            get(connection, f"/fileget?filename=a.jpg&type=T&scale={scale}")
            assert connection.answer().status == 200
        assert len(daemon.workers()) == 2
        daemon.kill()
    assert not accepts(daemon)
    (left,) = daemon.directory.glob("was-????????")
    daemon.start()
    daemon.await_processes()
    (used,) = daemon.directory.glob("was-????????")
    assert used != left


@pytest.mark.slow
def test_a_process_that_is_asked_to_end_is_no_error(run_two: Any) -> None:
    daemon = run_two({"log": {"format": "json"}})
    second = daemon.processes()[2]
    os.kill(second, signal.SIGTERM)
    daemon.await_processes(2)
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    (end,) = [line for line in lines if line.get("message", "").startswith("Process 2 ended")]
    assert end["message"].startswith("Process 2 ended, with status 0; its successor starts ")
    assert {line["level"] for line in lines} <= {"info", "warn"}


def test_a_process_that_cannot_start_says_why_in_one_line(run_two: Any, tmp_path: Path) -> None:
    pem = self_signed(tmp_path)
    tls = f"ssl:{free_port()}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
    daemon = run_two({"server": {"listen": [tls]}, "log": {"format": "json"}})
    Path(pem).unlink()
    second = daemon.processes()[2]
    os.kill(second, signal.SIGKILL)
    eventually(lambda: daemon.log().count("Process 2: The configuration has mistakes"), "for a successor to try")
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    tries = [line for line in lines if "has mistakes" in line.get("message", "")]
    assert {line["level"] for line in tries} == {"error"}
    assert all("has mistakes: server.listen[1]: " in line["message"] for line in tries)
    assert not [line for line in lines if "Traceback" in line.get("message", "")]
    tried_again = re.compile("Process 2 ended, with status 1; its successor starts in [1-9]")
    eventually(lambda: tried_again.search(daemon.log()), "for the next one to be put off")
    # All clients are served by the other one, as nobody knows whether there will be a second one.
    assert all(answers(daemon) for _ in range(20))
    self_signed(tmp_path)
    daemon.await_processes(2)
    with conversing(daemon, 1):
        pass


def test_a_stop_lets_all_finish_what_they_are_at(run_two: Any) -> None:
    daemon = run_two(PATIENT)
    data = content()
    put(daemon, "a.jpg", data)
    with connected(daemon, 1, "/fileget?filename=a.jpg&type=O") as downloads:
        for connection in downloads:
            assert connection.head()[0] == 200
        # To all of them, as some service managers do.
        os.killpg(daemon.pid, signal.SIGTERM)
        eventually(lambda: not accepts(daemon), "for the port to be closed")
        for connection in downloads:
            assert connection.rest() == data
    assert daemon.wait() == 0
    lines = [line for line in daemon.log().splitlines() if "a.jpg" in line]
    assert len(lines) == len(downloads)
    assert all(f'" 200 {len(data)} ' in line for line in lines)


@pytest.mark.slow
def test_a_second_signal_ends_all_at_once(run_two: Any) -> None:
    daemon = run_two(PATIENT)
    put(daemon, "a.jpg", content())
    with connected(daemon, 1, "/fileget?filename=a.jpg&type=O"):
        os.kill(daemon.pid, signal.SIGTERM)
        eventually(lambda: not accepts(daemon), "for the port to be closed")
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_hangup_reloads_all_and_a_mistake_changes_none(run_two: Any) -> None:
    daemon = run_two()
    path = "/fileget?filename=a.jpg&type=T&scale=200"
    put(daemon, "a.jpg", photograph((400, 300)))
    with conversing(daemon, 2) as connections:

        def statuses() -> list[int]:
            for connection in connections:
                get(connection, path)
            return [connection.answer().status for connection in connections]

        assert set(statuses()) == {200}
        reload(daemon, together(TWO, {"thumbnails": {"max_scale": 123}}))
        eventually(lambda: set(statuses()) == {400}, "for all to know of it")
        daemon.write_config(together(TWO, {"thumbnails": {"max_scale": 0}}))
        hang_up(daemon, "thumbnails.max_scale: must be at least 1, got 0")
        assert set(statuses()) == {400}
    assert daemon.log().count(DONE) == 1
    daemon.write_config({"server": {"workers": 3}})
    hang_up(daemon, "A change of server.workers needs a restart; there are as many processes as before")


@pytest.mark.slow
def test_no_connection_is_lost_while_a_process_is_replaced_again_and_again(run_two: Any) -> None:
    daemon = run_two()
    client = Client(daemon.url, KEY)
    for round_ in range(3):
        second = daemon.processes()[2]
        os.kill(second, signal.SIGTERM)
        os.kill(daemon.pid, signal.SIGHUP)
        while daemon.log().count("2 processes serve") < round_ + 2:
            assert client.raw(b"GET / HTTP/1.1\r\nHost: was\r\nConnection: close\r\n\r\n").status == 200


@pytest.mark.slow
def test_lines_of_the_log_are_whole_whichever_process_writes_them(run_two: Any) -> None:
    daemon = run_two({"log": {"format": "json"}})
    with conversing(daemon, 2) as connections:
        for _ in range(50):
            for connection in connections:
                get(connection, f"/fileget?filename={'x' * 200}&type=O")
            assert {connection.answer().status for connection in connections} == {404}
        asked = 50 * len(connections)
    eventually(lambda: daemon.log().count("xxx&type=O") == asked, "for all to be written")
    requests = [json.loads(line) for line in daemon.log().splitlines() if re.search('"logger": "request"', line)]
    identifiers = {request["request_id"] for request in requests}
    assert len(identifiers) == len(requests) >= asked


@pytest.mark.slow
def test_a_log_by_other_means_has_the_lines_of_all(tmp_path: Path) -> None:
    logger = tmp_path / "tests_logger.py"
    logger.write_text(_LOGGER)
    command = [BIN / "twistd", "-n", "--pidfile=", "--logger=tests_logger.observer", "was"]
    daemon = Daemon(tmp_path / "daemon", TWO, {"PYTHONPATH": str(tmp_path)}, command=command).start()
    try:
        eventually(lambda: "2 processes serve" in daemon.log(), "for both to serve")
        eventually(lambda: '<"GET / HTTP' in daemon.log() or '"GET /" 200' in daemon.log(), "for the request's line")
    finally:
        daemon.stop()
    assert {line[:8] for line in daemon.log().splitlines()} == {"Logged: "}


_LOGGER = """
import sys
from twisted.logger import eventAsText


def observer():
    return lambda event: print("Logged:", eventAsText(event, False, False), file=sys.__stdout__, flush=True)
"""


def test_a_directory_that_is_too_deep_for_sockets_is_named(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    daemon = Daemon(tmp_path / "daemon", TWO, {"TMPDIR": str(deep)})
    daemon.launch()
    assert daemon.wait() != 0
    assert f"{deep} is too long a path for the sockets of several processes: set TMPDIR" in daemon.log()
    assert not list(deep.iterdir())
