"""What a busy daemon is like for others: how long small answers take, and how much memory it has."""

import json
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from urllib.request import urlopen

from tests.support.daemon import Daemon

_PAUSE_SECONDS = 0.01
_WEIGHING_SECONDS = 0.1


class Meanwhile:
    """Context in which a daemon is asked again and again, and weighed: `latencies` in seconds, `peak` in bytes.

    Another process asks, so that what this one does is not held against the daemon. The peak is that of all processes
    together. `delays` is how much later than it wanted to the asking process woke up between two questions: what the
    machine alone does to whoever waits.
    """

    def __init__(self, daemon: Daemon, path: str = "/web_asset_store.xml") -> None:
        self.peak = 0
        self.latencies: list[float] = []
        self.delays: list[float] = []
        self._daemon = daemon
        self._url = daemon.url + path
        self._over = Event()
        self._weighing = Thread(target=self._weigh)

    def __enter__(self) -> "Meanwhile":
        command = [sys.executable, "-m", "bench.meanwhile", self._url]
        self._asking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._asking.stdout
        # It has started, and had the first answer.
        self._asking.stdout.readline()
        self._weighing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._weighing.join()
        answers, _ = self._asking.communicate()
        self.latencies, self.delays = json.loads(answers)

    def _weigh(self) -> None:
        while not self._over.wait(_WEIGHING_SECONDS):
            self.peak = max(self.peak, sum(map(_proportional_set_size, [self._daemon.pid, *self._daemon.workers()])))


def _proportional_set_size(pid: int) -> int:
    """The bytes of memory of a process, what it shares with others in equal parts; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _ask(url: str) -> None:
    """Ask until the standard input ends, then print the seconds of the answers, and of the late awakenings."""
    over = Event()
    Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    latencies: list[float] = []
    delays: list[float] = []
    while not over.is_set():
        begin = time.monotonic()
        with urlopen(url, timeout=60) as answer:
            answer.read()
        end = time.monotonic()
        if not latencies:
            print(flush=True)
        latencies.append(end - begin)
        time.sleep(_PAUSE_SECONDS)
        delays.append(time.monotonic() - end - _PAUSE_SECONDS)
    print(json.dumps([latencies, delays]))


if __name__ == "__main__":
    _ask(sys.argv[1])
