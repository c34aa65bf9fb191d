"""A daemon that has nothing to do: how soon it is there, and what it takes up."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench import started
from bench.report import Figure
from bench.walls import BareKlein
from tests.support.daemon import BIN

REPETITIONS = 9


def idle(directory: Path) -> list[Figure]:
    """Seconds from start to first answer, and megabytes."""
    starts: list[float] = []
    imports: list[float] = []
    twistds: list[float] = []
    memory = 0.0
    for repetition in range(REPETITIONS):
        daemon = started.daemon(directory / str(repetition))
        begin = time.perf_counter()
        daemon.start()
        starts.append(time.perf_counter() - begin)
        memory = daemon.memory() / 1e6
        daemon.stop()
        imports.append(_seconds(sys.executable, "-c", "import twisted.web"))
        twistds.append(_seconds(BIN / "twistd", "--version"))
    bare = BareKlein(6000)
    theirs = _resident(bare.process.pid) / 1e6
    bare.stop()
    start, yardstick, least = median(starts), median(imports), median(twistds)
    return [
        Figure(
            "start to first answer",
            "s",
            start,
            "import twisted.web",
            yardstick,
            start / yardstick,
            "at most 4, under 1.5 s",
        ),
        Figure("the same, beside what twistd itself takes", "s", start, "twistd --version", least, start / least, ""),
        Figure("memory when idle", "MB", memory, "bare Klein", theirs, memory / theirs, "at most 1.5"),
    ]


def _seconds(*command: str | Path) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
