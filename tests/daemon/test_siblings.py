"""Several processes that are one daemon: `[server] workers`."""

import json
import os
import re
import signal
import socket
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
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, descriptors, eventually
from tests.support.images import photograph
from tests.support.ports import free_port
from tests.support.tls import self_signed
from tests.web.test_admin import Watched

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
        # A process that is not woken within milliseconds, on a busy machine, leaves a connection to the other.
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
    """A connection to each process, the first one's first."""
    clients = _clients(daemon)
    return [
        next(connection for connection in connections if connection.port in clients[pid])
        for pid in (daemon.pid, *daemon.siblings())
    ]


def _clients(daemon: Daemon) -> dict[int, set[int]]:
    """The ports of the clients that each process is connected to."""
    end = f":{daemon.port:04X}"
    ports = {
        f"socket:[{inode}]": int(remote.rpartition(":")[2], 16)
        for local, remote, state, inode in _sockets()
        if local.endswith(end) and state == "01"
    }
    return {
        pid: {ports[thing] for thing in descriptors(pid) if thing in ports} for pid in (daemon.pid, *daemon.siblings())
    }


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


@pytest.mark.slow
def test_all_kinds_of_endpoints_are_served_by_all(run_two: Any, tmp_path: Path) -> None:
    pem, port, path = self_signed(tmp_path), free_port(), tmp_path / "http"
    tls = f"ssl:{port}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
    daemon = run_two({"server": {"listen": [f"unix:{path}", tls]}})
    with ExitStack() as stack:
        for _ in range(6):
            over_tls = ["curl", "-sk", f"https://127.0.0.1:{port}/"]
            assert subprocess.run(over_tls, capture_output=True, check=True).stdout == b"It works!"
            connection = stack.enter_context(Connection(str(path)))
            get(connection, "/")
            assert connection.answer().body == b"It works!"
    (sibling,) = daemon.siblings()
    os.kill(sibling, signal.SIGTERM)
    daemon.await_processes(2)
    with Connection(str(path)) as connection:
        get(connection, "/")
        assert connection.answer().body == b"It works!"
    daemon.stop()
    assert not path.exists()


@pytest.mark.slow
def test_a_socket_of_systemds_is_shared(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, TWO)
    tcp = f"tcp:{daemon.port}:interface=127.0.0.1"
    daemon.config_file.write_text(daemon.config_file.read_text().replace(tcp, "systemd:domain=INET:index=0"))
    with socket.create_server(("127.0.0.1", daemon.port), backlog=10) as listening:
        number = listening.fileno()
        hand_over = (
            "import os, sys; number, *command = sys.argv[1:]; os.dup2(int(number), 3); "
            "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_FDNAMES': 'http', 'LISTEN_PID': str(os.getpid())}; "
            "os.execv(command[0], command)"
        )
        command = [BIN / "python", "-c", hand_over, str(number), BIN / "twistd", "-n", "--pidfile=", "was"]
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--config", daemon.config_file],
                env=clean_environment({"TMPDIR": str(tmp_path)}),
                pass_fds=[number],
                stdout=log,
                stderr=log,
            )
    try:
        eventually(lambda: "2 processes serve" in (tmp_path / "log").read_text(), "for both to serve")
        client = Client(daemon.url, KEY)
        with ExitStack() as stack:
            for _ in range(6):
                connection = stack.enter_context(client.connect())
                get(connection, "/")
                assert connection.answer().body == b"It works!"
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_one_new_thumbnail_is_made_once_whoever_asks(run_daemon: RunDaemon) -> None:
    watched = Watched(run_daemon, TWO)
    daemon = watched.daemon
    daemon.await_processes()
    put(daemon, "a.jpg", photograph((1200, 900)))
    with conversing(daemon, 8) as connections:
        for connection in connections:
            get(connection, "/fileget?filename=a.jpg&type=T&scale=123")
        pictures = {connection.answer().body for connection in connections}
    assert len(pictures) == 1
    done = [
        value
        for (name, labels), value in watched.samples().items()
        if name == "was_jobs_total" and ("outcome", "done") in labels
    ]
    assert done == [1]


def test_monitoring_and_the_status_page_know_of_all_processes(run_daemon: RunDaemon) -> None:
    watched = Watched(run_daemon, TWO)
    daemon = watched.daemon
    daemon.await_processes()
    with conversing(daemon, 2) as connections:
        for process in "12":
            assert watched.value("was_requests_total", endpoint="index", status="200", process=process) >= 2
            assert watched.value("was_connections", process=process) >= 2
            assert watched.value("was_store_up", store="main", process=process) == 1
        assert watched.health()[1]["processes"] == "ok"
        (sibling,) = daemon.siblings()
        os.kill(sibling, signal.SIGSTOP)
        try:
            status, document = watched.health()
            assert (status, document["problems"]) == (503, ["process 2: does not serve"])
            assert watched.value("was_healthy", process="1") == 0
        finally:
            os.kill(sibling, signal.SIGCONT)
        eventually(lambda: watched.health()[0] == 200, "for the process to answer again")
        for connection in connections:
            connection.send(b"GET / HTTP/1.1\r\nHost: was\r\nAccept: text/html\r\n\r\n")
            page = connection.answer()
            assert page.status == 200
            assert "<h1>It works!</h1>" in page.text
    assert "too" not in [line.rpartition(" ")[2] for line in daemon.log().splitlines()]


# -- life and death ----------------------------------------------------------------------------------------------------


def test_a_killed_process_is_replaced_and_if_the_first_is_killed_none_stays_behind(run_two: Any) -> None:
    daemon = run_two()
    (sibling,) = daemon.siblings()
    with conversing(daemon, 1) as connections:
        its = owners(daemon)[sibling]
        os.kill(sibling, signal.SIGKILL)
        eventually(lambda: "Process 2 ended, killed by SIGKILL; its successor starts" in daemon.log(), "for the line")
        assert answers(daemon)
        assert sum(map(is_answered, connections)) == len(connections) - its
    daemon.await_processes(2)
    put(daemon, "a.jpg", photograph((400, 300)))
    with conversing(daemon, 1) as connections:
        for scale, connection in enumerate(connections, 100):
            get(connection, f"/fileget?filename=a.jpg&type=T&scale={scale}")
            assert connection.answer().status == 200
        assert len(daemon.workers()) == 2
        daemon.kill()
    assert not accepts(daemon)


def test_a_process_that_is_asked_to_end_is_no_error(run_two: Any) -> None:
    daemon = run_two({"log": {"format": "json"}})
    (sibling,) = daemon.siblings()
    os.kill(sibling, signal.SIGTERM)
    daemon.await_processes(2)
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    (end,) = [line for line in lines if line.get("message", "").startswith("Process 2 ended")]
    assert end["message"].startswith("Process 2 ended, with status 0; its successor starts ")
    assert {line["level"] for line in lines} <= {"info", "warn"}


class Keyed:
    """A daemon of two processes with a key of its own in a file, and one of a collection's."""

    def __init__(self, run: Any, directory: Path) -> None:
        self.server, self.fish = directory / "server", directory / "fish"
        for path in (self.server, self.fish):
            path.write_text(KEY)
            path.chmod(0o600)
        fish = {"directory": "Fish", "key_file": str(self.fish)}
        self.config = {
            "server": {"key": None, "key_file": str(self.server)},
            "collections": {"mode": "map", "map": {"Fish": fish, "Birds": {"directory": "Birds"}}},
        }
        self.daemon: Daemon = run(self.config)

    def statuses(self, connections: list[Connection], key: str) -> set[int]:
        """What uploads to all collections over all connections are answered with."""
        client = Client(self.daemon.url, key)
        for connection in connections:
            for coll in ("Fish", "Birds"):
                form = client.specify6_form("a.jpg", coll=coll)
                connection.send(form.head(3) + form.around(b"abc"))
        return {connection.answer().status for connection in connections for _ in range(2)}

    def replace(self) -> None:
        """Have another process take the second one's place."""
        (sibling,) = self.daemon.siblings()
        served = self.daemon.log().count("2 processes serve")
        os.kill(sibling, signal.SIGKILL)
        self.daemon.await_processes(served + 1)


def test_a_process_that_takes_anothers_place_has_the_keys_of_the_rest(run_two: Any, tmp_path: Path) -> None:
    keyed = Keyed(run_two, tmp_path)
    keyed.server.write_text("another key")
    keyed.fish.unlink()
    hang_up(keyed.daemon, "collections.map.Fish.key_file")
    keyed.replace()
    with conversing(keyed.daemon, 1) as connections:
        assert keyed.statuses(connections, KEY) == {200}


@pytest.mark.slow
def test_a_reload_gives_all_the_same_keys_and_those_that_come_after_it(run_two: Any, tmp_path: Path) -> None:
    keyed = Keyed(run_two, tmp_path)
    with conversing(keyed.daemon, 1) as connections:
        for path in (keyed.server, keyed.fish):
            path.write_text("another key")
        reload(keyed.daemon, together(TWO, keyed.config))
        eventually(lambda: keyed.statuses(connections, "another key") == {200}, "for all to know of it")
    # Nor is it this process that judges who may change a file.
    keyed.server.write_text(KEY)
    keyed.server.chmod(0o666)
    keyed.replace()
    with conversing(keyed.daemon, 1) as connections:
        assert keyed.statuses(connections, "another key") == {200}


def test_a_process_that_cannot_start_says_why_in_one_line(run_two: Any, tmp_path: Path) -> None:
    pem = self_signed(tmp_path)
    tls = f"ssl:{free_port()}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
    daemon = run_two({"server": {"listen": [tls]}, "log": {"format": "json"}})
    Path(pem).unlink()
    (sibling,) = daemon.siblings()
    os.kill(sibling, signal.SIGKILL)
    eventually(lambda: daemon.log().count("Process 2 cannot start"), "for a successor to try")
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    tries = [line for line in lines if "cannot start" in line.get("message", "")]
    assert {line["level"] for line in tries} == {"error"}
    assert all(line["message"].startswith("Process 2 cannot start: server.listen[1]: ") for line in tries)
    assert not [line for line in lines if "Traceback" in line.get("message", "")]
    assert answers(daemon)


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
        # A process that takes another's place goes by what the others go by, not by the mistake.
        (sibling,) = daemon.siblings()
        os.kill(sibling, signal.SIGTERM)
        daemon.await_processes(2)
    with conversing(daemon, 2) as connections:
        assert set(statuses()) == {400}
    assert daemon.log().count(DONE) == 1
    daemon.write_config({"server": {"workers": 3}})
    hang_up(daemon, "A change of server.workers needs a restart; there are as many processes as before")


@pytest.mark.slow
def test_no_connection_is_lost_while_a_process_is_replaced_again_and_again(run_two: Any) -> None:
    daemon = run_two()
    client = Client(daemon.url, KEY)
    for round_ in range(3):
        (sibling,) = daemon.siblings()
        os.kill(sibling, signal.SIGTERM)
        os.kill(daemon.pid, signal.SIGHUP)
        asked = 0
        while daemon.log().count("2 processes serve") < round_ + 2:
            assert client.raw(b"GET / HTTP/1.1\r\nHost: was\r\nConnection: close\r\n\r\n").status == 200
            asked += 1
        assert asked > 10


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
