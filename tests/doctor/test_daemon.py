"""The daemon that runs: the right key, the right port, and the right address."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.cli import write_config
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.examined import bad, found_by, only, patient
from tests.support.images import jpeg
from tests.support.ports import free_port
from was_daemon.doctor import addresses, daemon, ports
from was_daemon.doctor.findings import Finding, State
from was_daemon.doctor.machine import Machine
from was_daemon.doctor.sockets import Listener, listeners, parse_listeners


def config_for(directory: Path, port: int, **server: object) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "store").mkdir(exist_ok=True)
    listen = [f"tcp:{port}:interface=127.0.0.1"]
    return write_config(
        directory, {"main": {"plugin": "filesystem", "path": directory / "store"}}, server={"listen": listen, **server}
    )


def test_a_daemon_with_another_key_than_the_configuration_is_told(tmp_path: Path, filesystem_daemon: Daemon) -> None:
    config = config_for(tmp_path, filesystem_daemon.port, key="another key than before")
    finding = only(found_by(daemon.look, config))
    assert f"refuses the key of {config}: the daemon has another one" in finding.message
    assert finding.remedy == f"was-daemon serve --config {config}"
    right = config_for(tmp_path, filesystem_daemon.port)
    assert [each.state for each in found_by(daemon.look, right)] == [State.OK]


def test_what_a_running_daemon_says_of_its_health_is_told(run_daemon: RunDaemon, tmp_path: Path) -> None:
    admin = free_port()
    ill = run_daemon(
        {"server": {"admin_listen": [f"tcp:{admin}:interface=127.0.0.1"]}, "limits": {"min_free": "900 TiB"}}
    )
    found = found_by(daemon.look, ill.config_file)
    assert all(each.message.startswith("the running daemon says: ") for each in bad(found))
    assert bad(found)
    assert not any("nly the running daemon sees that" in each.message for each in bad(found))


def told(config: Path, problem: str) -> Finding:
    """What is found of a problem that the daemon's health check tells."""
    return only(daemon._health(patient(config), "http://127.0.0.1/healthz", {"health": {"problems": [problem]}}))


@pytest.mark.parametrize("subject", ["spool", "store main"])
def test_a_fault_that_only_the_running_daemon_sees_is_mended_by_a_restart(tmp_path: Path, subject: str) -> None:
    config = config_for(tmp_path, 1)
    finding = told(config, f"{subject}: read-only file system")
    assert finding.message.endswith("read-only file system. Only the running daemon sees that, and a restart mends it")
    assert finding.remedy == "restart the daemon"
    (tmp_path / "store").rmdir()
    finding = told(config, f"{subject}: read-only file system")
    assert finding.message.endswith(": read-only file system")
    assert str(finding.remedy).startswith("See the other findings")


def test_a_restart_is_named_also_where_doctor_cannot_tell_who_sees_a_fault(tmp_path: Path) -> None:
    finding = told(config_for(tmp_path, 1), "store elsewhere: no answer")
    assert finding.message == "the running daemon says: store elsewhere: no answer"
    assert str(finding.remedy).endswith("a restart mends it: restart the daemon")


def test_a_store_whose_disk_is_gone_is_not_to_be_accepted_as_it_is(tmp_path: Path) -> None:
    finding = told(
        config_for(tmp_path, 1), "store main: the store's directory is another than before; is its disk mounted?"
    )
    assert str(finding.remedy).startswith("Mount its disk again. Only if ")


@contextmanager
def other_program(port: int) -> Iterator[int]:
    """A program that has the port, and says nothing; its process."""
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(99)"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:

        def listens() -> bool:
            return any(each.port == port for each in listeners())

        eventually(listens, "for the port to be taken")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_port_that_another_program_has_is_told_with_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setattr(ports, "_SECONDS", 0.1)
    with other_program(port) as pid:
        finding = only(found_by(ports.look, config_for(tmp_path, port), Machine(listeners=listeners())))
    assert finding.message == f"port {port} is in use by process {pid}, {sys.executable}"
    assert [
        each.state for each in found_by(ports.look, config_for(tmp_path, port), Machine(listeners=listeners()))
    ] == [State.OK]


def test_the_daemons_own_port_is_no_finding(filesystem_daemon: Daemon) -> None:
    machine = Machine(listeners=listeners())
    assert machine.listening_on(filesystem_daemon.port)
    assert [each.state for each in found_by(ports.look, filesystem_daemon.config_file, machine)] == [State.OK]


def test_a_port_of_roots_is_told_for_another_user(tmp_path: Path) -> None:
    import attrs

    from tests.support.examined import patient
    from was_daemon.doctor.account import Account

    examined = attrs.evolve(patient(config_for(tmp_path, 1)), account=Account(65534, 65534, frozenset()))
    finding = only(ports.look(examined))
    assert "may not open port 1: those below" in finding.message
    assert "was-daemon.socket" in str(finding.remedy)


def test_listeners_are_read_as_the_kernel_writes_them() -> None:
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 123 1 0 100 0 0 10 0\n"
        "   1: 0100007F:1F91 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 124 1 0 100 0 0 10 0\n"
    )
    assert list(parse_listeners(text)) == [Listener(8080, "127.0.0.1", 123)]
    six = text.replace("0100007F:1F90 00000000:0000", f"{'0' * 24}01000000:0050 {'0' * 32}:0000")
    assert list(parse_listeners(six)) == [Listener(80, "::1", 123)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[1] in [each.port for each in listeners()]


@pytest.mark.parametrize(
    ("program", "is_ours"),
    [
        ("/opt/was-daemon/bin/python /opt/was-daemon/bin/twistd --nodaemon --pidfile= was --config a.toml", True),
        ("/usr/bin/python3 -m was_daemon.daemon.processes.child", True),
        ("python3 ./was-daemon-1.0.pyz serve --config was.toml", True),
        ("/srv/was_daemon/.venv/bin/python -m http.server", False),
        ("/usr/sbin/apache2 -k start", False),
        ("", False),
    ],
)
def test_the_daemon_is_known_by_its_command(program: str, is_ours: bool) -> None:
    assert Listener(8080, "::", 1, 99, program).is_ours is is_ours


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_public_address_that_leads_elsewhere_is_told(run_daemon: RunDaemon, tmp_path: Path) -> None:
    here, elsewhere = run_daemon(), run_daemon()
    config = config_for(tmp_path, here.port, public_url=here.url, key="another key than theirs")
    assert "leads to another server, or one with another key" in only(found_by(addresses.look, config)).message
    config = config_for(tmp_path, here.port, public_url="http://nowhere.invalid")
    finding = only(found_by(addresses.look, config))
    assert finding.message.startswith("nowhere.invalid, the host of server.public_url, has no address: ")
    assert str(finding.remedy).startswith("getent hosts nowhere.invalid")
    # The same key, and another store.
    await Client(here.url, KEY).store("felis.jpg", jpeg())
    (tmp_path / "there").mkdir()
    config = write_config(
        tmp_path / "there",
        {"main": {"plugin": "filesystem", "path": here.store}},
        server={"listen": [f"tcp:{here.port}:interface=127.0.0.1"], "public_url": elsewhere.url},
    )
    assert "leads to another server with the same key" in only(found_by(addresses.look, config)).message
    await Client(elsewhere.url, KEY).store("felis.jpg", jpeg((20, 20)))
    assert "leads to another server with the same key" in only(found_by(addresses.look, config)).message


def test_a_daemon_whose_public_address_leads_nowhere_is_asked_at_its_own(run_daemon: RunDaemon) -> None:
    running = run_daemon({"server": {"public_url": f"http://127.0.0.1:{free_port()}"}})
    assert [each.state for each in found_by(daemon.look, running.config_file)] == [State.OK]
    finding = only(found_by(addresses.look, running.config_file))
    assert "Connection refused" in finding.message
