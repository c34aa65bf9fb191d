"""Deleting an asset with all of its thumbnails, when few and when many thumbnails of others are stored."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlencode
from urllib.request import urlopen

from bench import started
from bench.report import Figure
from tests.support.daemon import KEY, Daemon
from was_daemon.model import tokens

FEW, MANY = 1_000, 100_000
DELETES = 200


def deletes(directory: Path) -> list[Figure]:
    """Milliseconds of a delete."""
    with _daemon(directory / "few", FEW) as few, _daemon(directory / "many", MANY) as many:
        times: dict[int, list[float]] = {FEW: [], MANY: []}
        for number in range(DELETES):
            times[FEW].append(_delete(few, number))
            times[MANY].append(_delete(many, number))
    ours, theirs = median(times[MANY]) * 1000, median(times[FEW]) * 1000
    return [
        Figure(f"delete beside {MANY} thumbnails", "ms", ours, f"beside {FEW}", theirs, ours / theirs, "at most 1.3")
    ]


@contextmanager
def _daemon(directory: Path, thumbnails: int) -> Iterator[Daemon]:
    daemon = started.daemon(directory)
    for kind in ("originals", "thumbnails"):
        (daemon.store / kind).mkdir(parents=True)
    for number in range(thumbnails):
        (daemon.store / "thumbnails" / f"other-{number:06}_123.jpg").write_bytes(b"")
    for number in range(DELETES):
        (daemon.store / "originals" / f"mine-{number}.jpg").write_bytes(b"")
        (daemon.store / "thumbnails" / f"mine-{number}_123.jpg").write_bytes(b"")
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def _delete(daemon: Daemon, number: int) -> float:
    name = f"mine-{number}.jpg"
    form = urlencode({"filename": name, "token": tokens.sign(KEY, name, int(time.time()))}).encode()
    begin = time.monotonic()
    with urlopen(f"{daemon.url}/filedelete", form, timeout=60) as answer:
        assert answer.read() == b"Ok."
    return time.monotonic() - begin
