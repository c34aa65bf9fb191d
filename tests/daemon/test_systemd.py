"""What the daemon tells systemd, and its units, which systemd checks."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import RunDaemon
from tests.daemon.test_stop import accepts, content, download, get, put
from tests.support.client import Client
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, eventually
from tests.support.paths import ROOT
from tests.support.sshd import require

ETC = ROOT / "etc"
SERVICES = ETC / "was-daemon.service", ETC / "was-daemon@.service"
SOCKETS = ETC / "was-daemon.socket", ETC / "was-daemon@.socket"
PATIENCE = 30


class Manager:
    """A service manager that listens at a Unix socket, whose address in the environment is `address`."""

    def __init__(self, address: str) -> None:
        self.environ = {"NOTIFY_SOCKET": address}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def message(self) -> dict[str, str]:
        """The next message."""
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def forget(self) -> None:
        """Drop what has come so far."""
        while self.heard():
            self.message()

    def heard(self) -> bool:
        """Whether a message is waiting."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@was-daemon-{uuid4().hex}")
    yield manager
    manager.close()


def test_systemd_hears_of_the_start_every_reload_and_the_stop(run_daemon: RunDaemon, manager: Manager) -> None:
    daemon = run_daemon({"server": {"shutdown_grace": 7}}, manager.environ)
    assert manager.message() == {"READY": "1", "STATUS": "Serving"}
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    os.kill(daemon.pid, 1)
    reloading = manager.message()
    assert reloading.pop("RELOADING") == "1"
    assert before <= int(reloading.pop("MONOTONIC_USEC")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert reloading == {}
    assert manager.message() == {"READY": "1", "STATUS": "Serving"}
    daemon.config_file.write_text("[nothing]")
    os.kill(daemon.pid, 1)
    assert manager.message()["RELOADING"] == "1"
    assert manager.message() == {
        "READY": "1",
        "STATUS": "Serving by the old configuration, the new one has mistakes",
    }
    daemon.stop()
    stopping = manager.message()
    assert stopping.pop("STOPPING") == "1"
    assert stopping.pop("STATUS") == "Finishing the requests under way"
    assert int(stopping.pop("EXTEND_TIMEOUT_USEC")) >= 7_000_000
    assert stopping == {}
    assert not manager.heard()


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_ready_means_that_clients_are_answered(tmp_path: Path, manager: Manager) -> None:
    daemon = Daemon(tmp_path / "daemon", environ=manager.environ)
    daemon.launch()
    try:
        assert manager.message()["READY"] == "1"
        assert Client(daemon.url, KEY).raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200
    finally:
        daemon.stop()


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_daemon_that_cannot_listen_is_never_ready(run_daemon: RunDaemon, tmp_path: Path, manager: Manager) -> None:
    first = run_daemon()
    second = Daemon(tmp_path / "second", environ=manager.environ)
    second.port = first.port
    second.write_config({})
    second.launch()
    assert second.wait() == 1
    assert not manager.heard()


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_signs_of_life_are_sent_while_systemd_waits_for_them(run_daemon: RunDaemon, manager: Manager) -> None:
    run_daemon(environ={**manager.environ, "WATCHDOG_USEC": "2000000"})
    assert manager.message()["READY"] == "1"
    manager.forget()
    begin = time.monotonic()
    for _ in range(3):
        assert manager.message() == {"WATCHDOG": "1"}
    assert time.monotonic() - begin > 0.5


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_no_signs_of_life_are_sent_for_another_process(run_daemon: RunDaemon, manager: Manager) -> None:
    daemon = run_daemon(environ={**manager.environ, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    daemon.stop()
    assert [next(iter(manager.message())) for _ in range(2)] == ["READY", "STOPPING"]


def test_without_a_manager_that_listens_the_daemon_serves_all_the_same(run_daemon: RunDaemon, tmp_path: Path) -> None:
    daemon = run_daemon(environ={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert Client(daemon.url, KEY).raw(b"GET / HTTP/1.1\r\nHost: was\r\n\r\n").status == 200


@pytest.mark.slow
@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_of_several_processes_all_serve_before_systemd_hears_of_it_and_one_that_hangs_is_replaced(
    tmp_path: Path, manager: Manager
) -> None:
    environ = {**manager.environ, "WATCHDOG_USEC": "1000000"}
    daemon = Daemon(tmp_path / "daemon", {"server": {"workers": 2}}, environ)
    daemon.launch()
    try:
        eventually(lambda: "READY" in manager.message(), "for the daemon to be ready")
        assert "2 processes serve" in daemon.log()
        os.kill(daemon.processes()[2], signal.SIGSTOP)
        daemon.await_processes(2)
        assert "Process 2 hangs, and is killed" in daemon.log()
        # The system holds ten messages that nobody has read, and no more.
        manager.forget()
        os.kill(daemon.pid, signal.SIGHUP)
        eventually(lambda: "RELOADING" in manager.message(), "for the reload to begin")
        eventually(lambda: "READY" in manager.message(), "for it to end")
    finally:
        daemon.stop()


# -- sockets that somebody else has opened -----------------------------------------------------------------------------


_HAND_OVER = """
import os, sys
number, twistd, config = sys.argv[1:]
os.dup2(int(number), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http", "LISTEN_PID": str(os.getpid())}
os.execl(twistd, twistd, "-n", "--pidfile=", "was", "--config", config)
"""


@contextmanager
def activated(daemon: Daemon, listening: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon with a socket that it was handed, as systemd does it."""
    with (daemon.directory / "activated.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _HAND_OVER, str(listening.fileno()), BIN / "twistd", daemon.config_file],
            env=clean_environment({"TMPDIR": str(daemon.directory)}),
            pass_fds=[listening.fileno()],
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_nobody_is_refused_while_the_daemon_restarts_on_a_socket_it_was_handed(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    configuration = daemon.config_file.read_text()
    daemon.config_file.write_text(
        configuration.replace(f"tcp:{daemon.port}:interface=127.0.0.1", "systemd:domain=INET:index=0")
    )
    data = content()
    put(daemon, "a.jpg", data)
    client = Client(daemon.url, KEY)
    with (
        socket.create_server(("127.0.0.1", daemon.port)) as listening,
        activated(daemon, listening) as process,
        download(daemon, "a.jpg") as under_way,
    ):
        process.terminate()
        eventually(lambda: "the daemon stops" in (tmp_path / "activated.log").read_text(), "for the daemon to stop")
        # Nobody accepts connections now, and nobody is refused.
        with client.connect() as early:
            get(early, "/")
            assert under_way.rest() == data
            assert process.wait(PATIENCE) == 0
            with activated(daemon, listening):
                assert early.answer().status == 200
    assert not accepts(daemon)


def test_a_socket_that_was_not_handed_over_is_one_clear_line(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    configuration = daemon.config_file.read_text()
    daemon.config_file.write_text(
        configuration.replace(f"tcp:{daemon.port}:interface=127.0.0.1", "systemd:domain=INET:index=0")
    )
    daemon.launch()
    assert daemon.wait() == 1
    assert daemon.log().splitlines()[-1].startswith("systemd has handed over no socket for systemd:domain=INET:index=0")
    assert "Traceback" not in daemon.log()


# -- the units ---------------------------------------------------------------------------------------------------------


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    require(shutil.which("systemd-analyze"), "systemd-analyze")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


def test_the_units_have_no_mistakes(tmp_path: Path) -> None:
    units = []
    for unit in (*SERVICES, *SOCKETS):
        # Of a template an instance is looked at.
        units.append(tmp_path / unit.name.replace("@", "@1"))
        units[-1].write_text(unit.read_text().replace("/opt/was-daemon/bin", str(BIN)))
    outcome = analyze("verify", *units)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


def test_one_of_several_services_differs_in_what_it_must() -> None:
    single, template = ([line for line in unit.read_text().splitlines() if line[:1] not in "#"] for unit in SERVICES)
    assert {line.partition("=")[0] for line in {*single} ^ {*template}} == {
        "Description",
        "ExecStart",
        "RuntimeDirectory",
        "RuntimeDirectoryMode",
    }


def test_the_service_is_exposed_to_less_than_2_of_10() -> None:
    outcome = analyze("security", "--offline=true", "--threshold=20", SERVICES[0])
    assert outcome.returncode == 0, outcome.stdout
    match = re.search(r"exposure level for was-daemon.service: ([0-9.]+)", outcome.stdout)
    assert match
    assert float(match[1]) <= 2.0


def test_the_service_gives_the_daemon_time_for_its_default_grace() -> None:
    lines = [line.split("=", 1) for line in SERVICES[0].read_text().splitlines() if re.match(r"\w+=", line)]
    settings = dict(lines)
    assert int(settings["TimeoutStopSec"]) >= 30 + 2 * 5
    assert settings["KillMode"] == "mixed"
