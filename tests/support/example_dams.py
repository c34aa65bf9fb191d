"""The DAMs of docs/examples, each in a process of its own."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import eventually
from tests.support.paths import ROOT
from tests.support.ports import free_port


@contextmanager
def running_dam(name: str, log: Path, *arguments: str) -> Iterator[int]:
    """Run a DAM on a free port, which is yielded; it has raised no error in the end."""
    port = free_port()
    with log.open("wb") as output:
        command = [sys.executable, ROOT / "docs" / "examples" / name, str(port), *arguments]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        eventually(lambda: process.poll() is not None or _listens(port), "for the DAM to listen")
        yield port
    finally:
        process.terminate()
        process.wait()
    assert "Traceback" not in log.read_text()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
