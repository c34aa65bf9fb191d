"""A curator scrolls: first thumbnails of 64 photographs that nobody has looked at, 32 requests at a time."""

import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from threading import Event, Thread
from urllib.request import urlopen

from bench import started
from bench.photographs import make_photographs
from bench.report import Figure
from tests.support.daemon import Daemon

COUNT = 64
AT_A_TIME = 32
SCALE = 123
REPETITIONS = 3


def gallery(directory: Path) -> list[Figure]:
    """Thumbnails per second beside ImageMagick and libvips, memory, and the answers to others meanwhile."""
    photographs = make_photographs(directory / "photographs", COUNT)
    scrolls = []
    rates: dict[str, list[float]] = {"convert": [], "vipsthumbnail": []}
    for repetition in range(REPETITIONS):
        scrolls.append(Scroll(directory / f"daemon-{repetition}", photographs))
        for tool, rate in rates.items():
            if shutil.which(tool):
                rate.append(COUNT / _tool_seconds(tool, photographs, directory / f"{tool}-{repetition}"))
    return [*_speeds(scrolls, rates), *_courtesies(scrolls)]


def _speeds(scrolls: list["Scroll"], rates: dict[str, list[float]]) -> list[Figure]:
    ours = median(scroll.rate for scroll in scrolls)
    targets = {"convert": "at least 6", "vipsthumbnail": "at least 1.3"}
    return [
        Figure(f"first thumbnails of {COUNT} photographs", "/s", ours, tool, median(rate), ours / median(rate), target)
        for tool, target in targets.items()
        if (rate := rates[tool])
    ]


def _courtesies(scrolls: list["Scroll"]) -> list[Figure]:
    memory = max(scroll.peak for scroll in scrolls) / 1e6
    slowest = median(max(scroll.latencies) for scroll in scrolls) * 1000
    last_percent = median(quantiles(scroll.latencies, n=100)[-1] for scroll in scrolls) * 1000
    return [
        Figure("memory of daemon and workers meanwhile", "MB", memory, "", None, None, "under 300"),
        Figure("99th percentile of other answers meanwhile", "ms", last_percent, "", None, None, ""),
        Figure("slowest other answer meanwhile", "ms", slowest, "", None, None, "under 100"),
    ]


class Scroll:
    """One scroll through a gallery of a fresh daemon: its rate, the peak of memory, and the latencies of others."""

    def __init__(self, directory: Path, photographs: list[Path]) -> None:
        self.peak = 0
        self.latencies: list[float] = []
        daemon = started.daemon(directory)
        originals = daemon.store / "originals"
        originals.mkdir(parents=True)
        for photograph in photographs:
            (originals / photograph.name).hardlink_to(photograph)
        daemon.start()
        try:
            self._measure(daemon, [photograph.name for photograph in photographs])
        finally:
            daemon.stop()
            shutil.rmtree(directory)

    def _measure(self, daemon: Daemon, names: list[str]) -> None:
        over = Event()
        watchers = [_repeat(over, lambda: self._ask(daemon)), _repeat(over, lambda: self._weigh(daemon))]
        try:
            with ThreadPoolExecutor(AT_A_TIME) as browser:
                begin = time.monotonic()
                list(browser.map(lambda name: _look(daemon, name), names))
                self.rate = len(names) / (time.monotonic() - begin)
        finally:
            over.set()
            for watcher in watchers:
                watcher.join()

    def _ask(self, daemon: Daemon) -> None:
        begin = time.monotonic()
        with urlopen(f"{daemon.url}/web_asset_store.xml", timeout=60) as answer:
            answer.read()
        self.latencies.append(time.monotonic() - begin)
        time.sleep(0.01)

    def _weigh(self, daemon: Daemon) -> None:
        self.peak = max(self.peak, sum(map(_proportional_set_size, [daemon.pid, *daemon.workers()])))
        time.sleep(0.1)


def _repeat(over: Event, action: Callable[[], None]) -> Thread:
    def loop() -> None:
        while not over.is_set():
            action()

    thread = Thread(target=loop)
    thread.start()
    return thread


def _look(daemon: Daemon, name: str) -> None:
    with urlopen(f"{daemon.url}/fileget?filename={name}&type=T&scale={SCALE}", timeout=120) as answer:
        assert answer.read(2) == b"\xff\xd8"


def _proportional_set_size(pid: int) -> int:
    """The bytes of memory of a process, what it shares with others in equal parts; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _tool_seconds(tool: str, photographs: list[Path], directory: Path) -> float:
    """How long `tool` takes for the same photographs, two at a time."""
    directory.mkdir()
    commands = {
        "convert": f'convert "$1" -resize {SCALE}x{SCALE} "{directory}/$(basename "$1")"',
        "vipsthumbnail": f'vipsthumbnail "$1" --size {SCALE}x{SCALE} -o "{directory}/%s.jpg"',
    }
    begin = time.monotonic()
    subprocess.run(
        ["xargs", "-P2", "-n1", "sh", "-c", commands[tool], "sh"],
        input="\n".join(map(str, photographs)),
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "VIPS_CONCURRENCY": "1"},
    )
    seconds = time.monotonic() - begin
    assert len(list(directory.iterdir())) == len(photographs)
    shutil.rmtree(directory)
    return seconds
