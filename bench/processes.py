"""Stored thumbnails from one process and from two, in turns.

Two processors serve both of them, `wrk`, and whatever else the machine does. What that takes is told, too, and turns in
which it was much count only when there are no others.
"""

import os
import resource
from pathlib import Path
from statistics import median

import attrs
from PIL import Image

from bench import started
from bench.report import Figure
from bench.walls import PATH, fetch, requests_per_second
from tests.support.daemon import Daemon

CONNECTIONS = 64
SECONDS = 2
TURNS = 15
_QUIET = 0.1
"""The share of all processors that others may have in a turn that counts."""

_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Run:
    """Requests per second, milliseconds of processor time that the daemon spent on each, and the shares of all
    processors that `wrk` and other programs had."""

    rate: float
    milliseconds: float
    wrk: float
    others: float


Turn = tuple[Run, Run]
"""With one process, and right afterwards with two."""


def processes(directory: Path) -> list[Figure]:
    """Requests per second for one thumbnail of about 6 KB, over connections that are kept alive."""
    one, two = (_daemon(directory / str(number), number) for number in (1, 2))
    try:
        turns = [(_run(one), _run(two)) for _ in range(TURNS)]
    finally:
        one.stop()
        two.stop()
    quiet = [turn for turn in turns if all(run.others < _QUIET for run in turn)]
    return _figures(quiet or turns, f"{len(quiet)} of {TURNS} turns were quiet")


def _figures(turns: list[Turn], quiet: str) -> list[Figure]:
    ratio = median(two.rate / one.rate for one, two in turns)
    rates, times, wrk, others = (
        [median(getattr(turn[index], field) for turn in turns) for index in (0, 1)]
        for field in ("rate", "milliseconds", "wrk", "others")
    )
    what = f"a stored thumbnail, {CONNECTIONS} connections, 2 processes"
    return [
        Figure(what, "/s", rates[1], "1 process", rates[0], ratio, "at least 1.7"),
        Figure("processor time for each", "ms", times[1], "1 process", times[0], times[1] / times[0], "not more"),
        Figure("wrk's share of the processors", "", wrk[1], "1 process", wrk[0], None, ""),
        Figure(f"others' share ({quiet})", "", others[1], "1 process", others[0], None, ""),
    ]


def _daemon(directory: Path, number: int) -> Daemon:
    daemon = started.daemon(directory, {"server": {"workers": number}, "limits": {"connections_per_address": 0}})
    originals = daemon.store / "originals"
    originals.mkdir(parents=True)
    Image.effect_noise((3000, 2000), 160).save(originals / "picture.jpg", quality=95)
    daemon.start()
    if number > 1:
        daemon.await_processes()
    fetch(daemon.url + PATH)
    return daemon


def _run(daemon: Daemon) -> Run:
    servers = [daemon.pid, *daemon.processes().values()]
    before = _spent(servers)
    rate = requests_per_second(daemon.url + PATH, CONNECTIONS, SECONDS)
    daemons, wrk, busy, all_ = (after - begun for begun, after in zip(before, _spent(servers), strict=True))
    return Run(rate, 1000 * daemons / (rate * SECONDS), wrk / all_, (busy - daemons - wrk) / all_)


def _spent(servers: list[int]) -> tuple[float, float, float, float]:
    """Seconds of processor time so far: of the daemon, of `wrk`, of all that runs, and with the idle ones."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = [int(field) / _TICKS for field in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]]
    idle = fields[3] + fields[4]
    wrk = children.ru_utime + children.ru_stime
    return sum(map(_seconds, servers)), wrk, sum(fields) - idle, sum(fields)


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
