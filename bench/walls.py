"""Thumbnails that are stored already, beside the same framework with nothing behind it.

`wrk` keeps 16 connections busy. The yardstick is a Klein route that returns as many bytes from memory.
"""

import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from PIL import Image

from bench import started
from bench.report import Figure
from tests.support.daemon import eventually
from tests.support.ports import free_port

CONNECTIONS = 16
SECONDS = 3
REPETITIONS = 5
SCALE = 123
_BARE = Path(__file__).with_name("bare.py")
PATH = f"/fileget?filename=picture.jpg&coll=Bench&type=T&scale={SCALE}"


def walls(directory: Path) -> list[Figure]:
    """Requests per second for one thumbnail of about 6 KB, over connections that are kept alive."""
    daemon = started.daemon(directory / "daemon", {"limits": {"connections_per_address": 0}})
    originals = daemon.store / "originals"
    originals.mkdir(parents=True)
    Image.effect_noise((3000, 2000), 160).save(originals / "picture.jpg", quality=95)
    daemon.start()
    bare = BareKlein(len(fetch(daemon.url + PATH)))
    try:
        rates: list[tuple[float, float]] = []
        for _ in range(REPETITIONS):
            rates.append((requests_per_second(daemon.url + PATH), requests_per_second(bare.url + PATH)))
    finally:
        bare.stop()
        daemon.stop()
    ours, theirs = (median(rate) for rate in zip(*rates, strict=True))
    return [
        Figure("a stored thumbnail, 16 connections", "/s", ours, "bare Klein", theirs, ours / theirs, "at least 0.6")
    ]


def requests_per_second(
    url: str, connections: int = CONNECTIONS, seconds: int = SECONDS, script: Path | None = None
) -> float:
    """What `wrk` gets out of the server; fails when an answer is not a success. A `script` of Lua makes requests."""
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", url]
    command += ["--script", str(script)] if script else []
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in output, output
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert rate, output
    return float(rate[1])


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    return content


class BareKlein:
    """A Klein application in a process of its own, whose only route returns `size` bytes. It logs as twistd does."""

    def __init__(self, size: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([sys.executable, _BARE, str(self.port), str(size)], stdout=subprocess.DEVNULL)
        eventually(self._answers, "for the bare server to answer")

    def _answers(self) -> bool:
        try:
            return bool(fetch(f"{self.url}/fileget"))
        except OSError:
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
