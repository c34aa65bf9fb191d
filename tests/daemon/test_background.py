"""`twistd was` in the background, where nobody sees its log."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # public, yet not in __all__

from tests.support.daemon import BIN, KEY, clean_environment, eventually, to_toml
from tests.support.ports import free_port
from tests.support.slow import slow_after

pytestmark = pytest.mark.slow

MAIN = {"plugin": "filesystem", "path": "store"}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def start(directory: Path, server: dict[str, object], *options: str) -> subprocess.CompletedProcess[str]:
    """Start a daemon in the background, and wait until twistd says how that went."""
    sections = {"server": {"key": KEY, **server}, "stores.main": MAIN}
    (directory / "was.toml").write_text(to_toml(sections), "utf-8")
    files = [f"--rundir={directory}", f"--pidfile={directory}/pid", f"--logfile={directory}/log"]
    command = [BIN / "twistd", *files, *options, "was", "--config", directory / "was.toml"]
    environment = clean_environment({"TMPDIR": str(directory)})
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("setting", ["listen", "admin_listen"])
@pytest.mark.parametrize("user", slow_after(1, [False, True]))
def test_a_port_that_is_taken_is_told_at_once(
    tmp_path: Path, taken: int, workers: int, setting: str, user: bool
) -> None:
    if user and os.geteuid() != 0:
        pytest.skip("only root can use --uid")
    listen = {"listen": [f"tcp:{free_port()}:interface=127.0.0.1"]}
    server = {"workers": workers, **listen, setting: [f"tcp:{taken}:interface=127.0.0.1"]}
    ran = start(tmp_path, server, *(["--uid=nobody"] if user else []))
    assert ran.returncode == 1
    assert f"Address already in use: tcp:{taken}" in ran.stderr
    assert f"Cannot listen on tcp:{taken}:interface=127.0.0.1: " in (tmp_path / "log").read_text("utf-8")
    # twistd tells its parent first, and then removes the file.
    eventually(lambda: not (tmp_path / "pid").exists(), "no file of the process's number")


def test_a_port_that_is_taken_is_one_line_in_the_foreground(tmp_path: Path, taken: int) -> None:
    ran = start(tmp_path, {"listen": [f"tcp:{taken}:interface=127.0.0.1"]}, "--nodaemon", "--logfile=-")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    assert f"Cannot listen on tcp:{taken}:interface=127.0.0.1: " in ran.stdout


@pytest.mark.parametrize(
    ("place", "reason"), [("none/was.socket", "No such file or directory"), ("x" * 100, "AF_UNIX path too long")]
)
def test_a_socket_that_cannot_be_made_is_one_line(tmp_path: Path, place: str, reason: str) -> None:
    ran = start(tmp_path, {"listen": [f"unix:{tmp_path}/{place}"]}, "--nodaemon", "--logfile=-")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    (line,) = [line for line in ran.stdout.splitlines() if "Cannot listen on" in line]
    assert f"unix:{tmp_path}/{place}: " in line and reason in line


def test_another_user_is_refused_before_the_daemon_is_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "was.toml").write_text(to_toml({"server": {"key": KEY}, "stores.main": MAIN}), "utf-8")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="only root can use --uid"):
        ServerOptions().parseOptions(["--uid=nobody", "was", "--config", str(tmp_path / "was.toml")])
