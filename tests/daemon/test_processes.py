"""The parts of several processes: what each gets, and how their answers become one."""

import socket
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.error import CannotListenError

from tests.support.cli import run
from tests.support.daemon import Daemon, clean_environment
from was_daemon.config.load import ConfigError, load
from was_daemon.config.process_share import ProcessShare
from was_daemon.config.settings import Settings
from was_daemon.daemon.processes.admin import merge_health, merge_metrics
from was_daemon.daemon.processes.sockets import open_sockets
from was_daemon.library.spool import Spool


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "was.toml"
    config.write_text(
        f"""
        [server]
        key = "a long key for tests"
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
        parts = [ProcessShare(number, of).settings(settings) for number in range(1, of + 1)]
        assert [part.thumbnails.workers for part in parts] == workers
        assert sum(part.thumbnails.queue for part in parts) == 100
        assert sum(part.spool.max_size for part in parts) <= 900
    assert ProcessShare().settings(settings) is settings


def test_a_number_of_processes_is_checked(settings: Settings, tmp_path: Path) -> None:
    config = tmp_path / "was.toml"
    text = config.read_text()
    config.write_text(text.replace("[server]", "[server]\nworkers = 0"))
    with pytest.raises(ConfigError, match=r"server\.workers: must be at least 1, got 0"):
        load(config, clean_environment())
    config.write_text(text.replace("[server]", "[server]\nworkers = 5000"))
    (warning,) = load(config, clean_environment()).warnings
    assert warning.startswith("server.workers is 5000, more than this machine's processors")


@pytest.mark.parametrize("endpoint", ["unix:/run/was", "systemd:domain=INET:index=0"])
def test_several_processes_need_ports_which_only_tcp_has(settings: Settings, tmp_path: Path, endpoint: str) -> None:
    config = tmp_path / "was.toml"
    config.write_text(
        config.read_text().replace("[server]", f'[server]\nworkers = 2\nlisten = ["tcp:0", "{endpoint}"]')
    )
    checked = run("config", "check", "--config", config)
    assert checked.code == 1
    assert "server.listen[1]: each of several processes needs a socket of its own for a TCP port" in checked.err


@pytest.mark.parametrize("given", ["0", "3", "3/2", "two", "1/2/3"])
def test_a_process_that_is_none_of_them_does_not_start(tmp_path: Path, given: str) -> None:
    daemon = Daemon(tmp_path, {"server": {"workers": 2}})
    daemon.options = [f"--process={given}"]
    daemon.launch()
    assert daemon.wait() == 1
    assert f"--process: {given} is none of 2 processes" in daemon.log()


def test_a_process_without_its_sockets_says_so(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"server": {"workers": 2}})
    daemon.options = ["--process=1"]
    daemon.launch()
    assert daemon.wait() == 1
    assert "no socket was handed over for it" in daemon.log()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", r"\:\:1", ""])
def test_sockets_of_one_port_share_its_connections(host: str) -> None:
    interface = f":interface={host}" if host else ""
    opened = open_sockets(f"tcp:0{interface}", 2)
    port = opened[0].getsockname()[1]
    accepted = 0
    for _ in range(40):
        socket.create_connection((host.replace("\\", "") or "127.0.0.1", port)).close()
    for each in opened:
        with closing(each):
            each.setblocking(False)
            each.accept()[0].close()
            accepted += 1
    assert accepted == 2


def test_a_port_that_is_taken_or_is_none_cannot_be_opened() -> None:
    # Nor can that of others who share theirs.
    opened = [socket.create_server(("127.0.0.1", 0)), *open_sockets("tcp:0:interface=127.0.0.1", 2)]
    for taken in opened[:2]:
        with pytest.raises(CannotListenError, match="Address already in use"):
            open_sockets(f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1", 2)
    for each in opened:
        each.close()
    with pytest.raises(CannotListenError, match="several processes can share TCP ports only"):
        open_sockets("unix:/run/was", 2)


def test_the_metrics_of_processes_differ_by_a_label() -> None:
    def counted(value: int) -> str:
        lines = ["# HELP was_requests_total Requests", "# TYPE was_requests_total counter"]
        return "\n".join([*lines, f'was_requests_total{{status="200"}} {value}', ""])

    text = merge_metrics({1: counted(3), 2: counted(4), 3: None}).decode()
    requests, healthy = text_string_to_metric_families(text)
    assert [(sample.labels["process"], sample.value) for sample in requests.samples] == [("1", 3.0), ("2", 4.0)]
    # One that does not answer is not well.
    assert [(sample.labels["process"], sample.value) for sample in healthy.samples] == [("3", 0.0)]
    assert text.count("# TYPE was_requests") == 1


def test_what_is_wrong_in_several_processes_is_told_once() -> None:
    down = "store main: down"
    first = {"status": "failing", "problems": [down], "stores": {"main": "down"}}
    second = {"status": "failing", "problems": [down, "workers: none"], "stores": {"main": "down"}}
    document = merge_health({1: None, 2: first, 3: second})
    assert document["problems"] == [down, "process 1: does not serve", "process 3: workers: none"]
    assert (document["status"], document["stores"]) == ("failing", {"main": "down"})
    assert merge_health({1: None, 2: None})["problems"] == ["process 1: does not serve", "process 2: does not serve"]
    well = {"status": "ok", "problems": [], "stores": {"main": "ok"}}
    assert merge_health({1: well, 2: well}) == {**well, "processes": "ok"}


@pytest_twisted.ensureDeferred
async def test_each_process_has_its_copies_in_the_spool_and_those_of_nobody_are_removed(tmp_path: Path) -> None:
    name = f"was-{'0' * 64}.copy"
    for number in (2, 3):
        (tmp_path / f"copies-{number}").mkdir()
        (tmp_path / f"copies-{number}" / name).write_bytes(b"content")
    spools = [Spool(tmp_path, 100, process=ProcessShare(number, 2)) for number in (1, 2)]
    for spool in spools:
        await spool.start()
    assert [spool.size for spool in spools] == [0, 7]
    assert not (tmp_path / "copies-3").exists()
    for spool in spools:
        await spool.close()
