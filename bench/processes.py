"""Stored thumbnails from one process and from two, in turns, and what else the two processors were busy with."""

import os
import resource
from pathlib import Path
from statistics import median

import attrs
from PIL import Image

from bench.report import Figure
from bench.walls import PATH, fetch, requests_per_second
from tests.daemon import Daemon

REPETITIONS = 7
_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Run:
    """One run of `wrk`: requests per second, milliseconds of processor time for each of them in the daemon, and the
    share of `wrk` in all of the machine's processors."""

    rate: float
    milliseconds: float
    share: float


def processes(directory: Path) -> list[Figure]:
    """Requests per second for one thumbnail of about 6 KB, over 16 connections that are kept alive."""
    daemons = [_daemon(directory / str(number), number) for number in (1, 2)]
    try:
        turns = [[_run(daemon) for daemon in daemons] for _ in range(REPETITIONS)]
    finally:
        for daemon in daemons:
            daemon.stop()
    one, two = ([turn[index] for turn in turns] for index in (0, 1))
    ratio = median(turn[1].rate / turn[0].rate for turn in turns)
    best = max(turn[1].rate / turn[0].rate for turn in turns)
    return [
        _figure("a stored thumbnail, 16 connections, 2 processes", "/s", "rate", two, one, ratio, "at least 1.7"),
        Figure("the best turn of these", "", best, "", None, best, ""),
        _figure("processor time for each", "ms", "milliseconds", two, one, None, "not more"),
        _figure(f"wrk's share of {os.cpu_count()} processors", "", "share", two, one, None, ""),
    ]


def _figure(
    what: str, unit: str, field: str, two: list[Run], one: list[Run], ratio: float | None, target: str
) -> Figure:
    ours, theirs = (median(getattr(run, field) for run in runs) for runs in (two, one))
    return Figure(what, unit, ours, "1 process", theirs, ratio or ours / theirs, target)


def _daemon(directory: Path, number: int) -> Daemon:
    daemon = Daemon(directory, {"server": {"workers": number}, "limits": {"connections_per_address": 0}})
    originals = daemon.store / "originals"
    originals.mkdir(parents=True)
    Image.effect_noise((3000, 2000), 160).save(originals / "picture.jpg", quality=95)
    daemon.start_all()
    fetch(daemon.url + PATH)
    return daemon


def _run(daemon: Daemon) -> Run:
    servers = [daemon.pid, *daemon.siblings()]
    spent, wrk, begin = sum(map(_seconds, servers)), _children(), os.times().elapsed
    rate = requests_per_second(daemon.url + PATH)
    elapsed = os.times().elapsed - begin
    seconds = sum(map(_seconds, servers)) - spent
    return Run(rate, 1000 * seconds / (rate * elapsed), (_children() - wrk) / elapsed / (os.cpu_count() or 1))


def _seconds(pid: int) -> float:
    """The processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _children() -> float:
    """The processor time of what this process has run and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
