"""`was-daemon serve`: the daemon without twistd."""

import os
import signal
import subprocess
from pathlib import Path

import pytest_twisted

from tests.support.client import Client
from tests.support.daemon import BIN, KEY, Daemon, clean_environment

_SERVE = (BIN / "was-daemon", "serve")


@pytest_twisted.ensureDeferred
async def test_serve_is_the_daemon(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, command=_SERVE).start()
    try:
        client = Client(daemon.url, KEY)
        await client.store("a.bin", b"bytes")
        assert (await client.original("a.bin")).body == b"bytes"
    finally:
        daemon.stop()


def test_a_stop_is_a_success(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, command=_SERVE).start()
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait() == 0


def test_mistakes_in_the_configuration_are_named_and_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "was.toml").write_text("[server]\nlisten = 8080\n")
    finished = subprocess.run(
        [*_SERVE, "--config", "was.toml"], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
    )
    assert finished.returncode == 1
    assert "server.listen" in finished.stderr
    assert "Traceback" not in finished.stderr
