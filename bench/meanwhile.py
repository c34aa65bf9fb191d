"""What a busy daemon is like for others: how long small answers take, and how much memory it has."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from urllib.request import urlopen

from tests.support.daemon import Daemon

_PAUSE = 0.01


class Meanwhile:
    """Context in which a daemon is asked again and again, and weighed: `latencies` in seconds, `peak` in bytes.

    The peak is that of all processes together. `delays` is how much later than it wanted to the asking thread woke up
    between two questions: what the machine alone does to whoever waits.
    """

    def __init__(self, daemon: Daemon, path: str = "/web_asset_store.xml") -> None:
        self.peak = 0
        self.latencies: list[float] = []
        self.delays: list[float] = []
        self._daemon = daemon
        self._url = daemon.url + path
        self._over = Event()
        self._watchers: list[Thread] = []

    def __enter__(self) -> "Meanwhile":
        self._watchers = [_repeat(self._over, action) for action in (self._ask, self._weigh)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for watcher in self._watchers:
            watcher.join()

    def _ask(self) -> None:
        begin = time.monotonic()
        with urlopen(self._url, timeout=60) as answer:
            answer.read()
        end = time.monotonic()
        self.latencies.append(end - begin)
        time.sleep(_PAUSE)
        self.delays.append(time.monotonic() - end - _PAUSE)

    def _weigh(self) -> None:
        self.peak = max(self.peak, sum(map(_proportional_set_size, [self._daemon.pid, *self._daemon.workers()])))
        time.sleep(0.1)


def _repeat(over: Event, action: Callable[[], None]) -> Thread:
    def loop() -> None:
        while not over.is_set():
            action()

    thread = Thread(target=loop)
    thread.start()
    return thread


def _proportional_set_size(pid: int) -> int:
    """The bytes of memory of a process, what it shares with others in equal parts; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
