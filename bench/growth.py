"""How start, memory and the commands that go through everything grow with the number of assets.

Twice: with files on a disk, empty ones, in both layouts; and with a store that only computes what it holds.
"""

import os
import shutil
import time
from pathlib import Path
from statistics import median

from bench import started
from bench.report import Figure
from tests.support.blocking import BlockingClient, finished
from tests.support.cli import write_config
from tests.support.daemon import KEY, Daemon
from tests.support.peaks import measured, numbered_config
from tests.support.versions import picture
from was_daemon.model.keys import AssetKey, Kind, Layout

COUNTS = (10, 10_000, 1_000_000)
_THUMBNAILS = 10
"""One thumbnail for so many originals on the disk."""

_PATIENCE = 7200
_SAMPLES = 9
_IDLE = 1.0
"""Seconds without work after which a daemon has looked through everything."""


def numbers(directory: Path) -> list[Figure]:
    """Seconds and megabytes."""
    figures = []
    for count in COUNTS:
        figures += _computed(directory / f"computed-{count}", count)
    for layout in Layout:
        for count in COUNTS:
            figures += _on_disk(directory / f"{layout.value}-{count}", layout, count)
    return figures


def _figures(what: str, seconds: float, peak: int) -> list[Figure]:
    return [
        Figure(what, "s", seconds, "", None, None, ""),
        Figure(f"{what}, memory", "MB", peak / 1e6, "", None, None, "the same for all numbers"),
    ]


def _computed(directory: Path, count: int) -> list[Figure]:
    directory.mkdir(parents=True)
    config = numbered_config(directory, count)
    commands = {
        "thumbnails prune --dry-run": ("thumbnails", "prune", "--dry-run"),
        "copy --dry-run to an empty store": ("copy", "--dry-run", "--from", "main", "--to", "empty"),
        "copy --dry-run to a copy": ("copy", "--dry-run", "--from", "main", "--to", "same"),
        "verify": ("verify", "--store", "main"),
        "reconcile with an export": ("reconcile", "--records", _export(directory, count)),
    }
    figures = []
    for what, command in commands.items():
        ran = measured(*command, "--config", config, "--json", timeout=_PATIENCE)
        figures += _figures(f"{count} computed: {what}", ran.seconds, ran.peak)
    return figures


def _export(directory: Path, count: int) -> Path:
    """Write an export of Specify with a record for each original."""
    path = directory / "attachments.csv"
    with path.open("w") as file:
        file.write("AttachmentID,AttachmentLocation,TableID\n")
        file.writelines(f"{number + 1},asset-{number:07}.jpg,1\n" for number in range(count))
    return path


def _on_disk(directory: Path, layout: Layout, count: int) -> list[Figure]:
    store = {"plugin": "filesystem", "path": directory / "store", "layout": layout.value}
    config = {"stores": {"main": store}, "thumbnails": {"max_size": "1 TiB", "workers": 1}}
    daemon = started.daemon(directory, config)
    _fill(directory / "store", layout, count)
    name = f"{count} {layout.value}"
    try:
        figures = _served(daemon, name)
        config_file = write_config(
            directory, {"main": store, "other": {**store, "path": directory / "other"}}, collections={"store": "main"}
        )
        commands = {
            "status --count": ("status", "--count"),
            "thumbnails prune --dry-run": ("thumbnails", "prune", "--dry-run"),
            "copy --dry-run to an empty store": ("copy", "--dry-run", "--from", "main", "--to", "other"),
        }
        for what, command in commands.items():
            ran = measured(*command, "--config", config_file, "--json", timeout=_PATIENCE)
            figures += _figures(f"{name}: {what}", ran.seconds, ran.peak)
        return figures
    finally:
        shutil.rmtree(directory)


def _fill(root: Path, layout: Layout, count: int) -> None:
    """Make empty files."""
    made: set[str] = set()
    for kind, number in ((Kind.ORIGINAL, count), (Kind.THUMBNAIL, count // _THUMBNAILS)):
        for each in range(number):
            # They begin as differently as those of Specify do.
            stem = f"{each * 7919 % 65536:04x}-{each}"
            path = layout.path(AssetKey("", kind, f"{stem}.jpg" if kind is Kind.ORIGINAL else f"{stem}_123.jpg"))
            directory = f"{root}/{path.rpartition('/')[0]}"
            if directory not in made:
                Path(directory).mkdir(parents=True)
                made.add(directory)
            os.close(os.open(f"{root}/{path}", os.O_CREAT | os.O_WRONLY))


def _served(daemon: Daemon, name: str) -> list[Figure]:
    begin = time.perf_counter()
    daemon.start()
    start = time.perf_counter() - begin
    try:
        _wait_until_idle(daemon.pid)
        looked = time.perf_counter() - begin - _IDLE
        return [
            Figure(f"{name}: start to first answer", "s", start, "", None, None, "the same for all numbers"),
            *_figures(f"{name}: until everything was looked through", looked, daemon.peak_memory()),
            *_requests(BlockingClient(daemon.url, KEY), name),
        ]
    finally:
        daemon.stop()


def _wait_until_idle(pid: int) -> None:
    """Wait until a process has used no time for a while."""
    used = -1
    while used != (now := _ticks(pid)):
        used = now
        time.sleep(_IDLE)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) // 3


def _requests(client: BlockingClient, name: str) -> list[Figure]:
    seconds: dict[str, list[float]] = {}
    for number in range(_SAMPLES):
        asset = f"new-{number}.jpg"
        requests = {
            "upload": client.upload_like_specify7(asset, picture(asset, number).content),
            "new thumbnail": client.thumbnail(asset, 50),
            "stored thumbnail": client.thumbnail(asset, 50),
            "delete": client.delete(asset),
        }
        for what, request in requests.items():
            begin = time.perf_counter()
            answer = finished(request)
            seconds.setdefault(what, []).append(time.perf_counter() - begin)
            assert answer.status == 200, answer
    return [
        Figure(f"{name}: {what}", "ms", median(times) * 1000, "", None, None, "the same for all numbers")
        for what, times in seconds.items()
    ]
