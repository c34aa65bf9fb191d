"""A curator scrolls: first thumbnails of 64 photographs that nobody has looked at, 32 requests at a time."""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from urllib.request import urlopen

from bench import started
from bench.meanwhile import Meanwhile
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
        with Meanwhile(daemon) as meanwhile, ThreadPoolExecutor(AT_A_TIME) as browser:
            begin = time.monotonic()
            list(browser.map(lambda name: _look(daemon, name), names))
            self.rate = len(names) / (time.monotonic() - begin)
        self.peak, self.latencies = meanwhile.peak, meanwhile.latencies


def _look(daemon: Daemon, name: str) -> None:
    with urlopen(f"{daemon.url}/fileget?filename={name}&type=T&scale={SCALE}", timeout=120) as answer:
        assert answer.read(2) == b"\xff\xd8"


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
