"""What a daemon takes up, seen from outside, and counts of what lives in it."""

import json
import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import attrs

from tests.support.daemon import Daemon, descriptors, eventually

_CLOSE_WAIT = "08"
"""The state in /proc/net/tcp of a connection that the other side has ended and this one has not."""

_CENSUS = """
import gc
import json
import os
import signal
from collections import Counter


def count(*_):
    from twisted.internet import reactor

    gc.collect()
    counts = Counter(type(each).__name__ for each in gc.get_objects())
    # The reactor keeps some that were cancelled for a while.
    counts["DelayedCall"] = len(reactor.getDelayedCalls())
    with open({file!r} + ".new", "w") as file:
        json.dump(counts, file)
    os.rename({file!r} + ".new", {file!r})


signal.signal(signal.SIGUSR2, count)
"""
"""A plugin that plugs in nothing: it is imported by the daemon, and counts its objects when it is asked to."""

COUNTED = (
    "AssetChannel",
    "AssetRequest",
    "Body",
    "Deferred",
    "DelayedCall",
    "Failure",
    "FileReader",
    "MemoryReader",
    "Job",
    "Making",
    "StagingFile",
    "Upload",
    "_Counted",
    "async_generator",
    "coroutine",
)
"""The types of whatever belongs to a request, a job or a transfer."""


@attrs.frozen
class Usage:
    """What a daemon takes up that nobody asks for anything."""

    sockets: int
    pipes: int
    files: tuple[str, ...]
    half_closed: int
    threads: int
    workers: int
    memory: int
    staged: tuple[str, ...]
    objects: Mapping[str, int]

    def __str__(self) -> str:
        counted = {name: count for name, count in self.objects.items() if count}
        return (
            f"{self.sockets} sockets, {self.pipes} pipes, {len(self.files)} files, {self.half_closed} half closed, "
            f"{self.threads} threads, {self.workers} workers, {self.memory / 1e6:.1f} MB, {counted}"
        )

    def exceeds(self, other: "Usage") -> dict[str, object]:
        """What of this, memory apart, is more than in `other`."""
        numbers = ("sockets", "pipes", "threads", "workers", "half_closed")
        more: dict[str, object] = {
            name: getattr(self, name) for name in numbers if getattr(self, name) > getattr(other, name)
        }
        more |= {name: count for name, count in self.objects.items() if count > other.objects[name]}
        more |= {name: getattr(self, name) for name in ("files", "staged") if getattr(self, name)}
        return more


class Meter:
    """Measures one daemon, whose configuration needs `plugins` as a section."""

    def __init__(self, directory: Path) -> None:
        self._census = directory / "census.json"
        self._plugins = directory / "plugins"
        package = self._plugins / "storage_plugins"
        package.mkdir(parents=True)
        (package / "census.py").write_text(_CENSUS.format(file=str(self._census)))

    @property
    def plugins(self) -> dict[str, object]:
        """The section `[plugins]`."""
        return {"path": [self._plugins]}

    def usage(self, daemon: Daemon) -> Usage:
        """Measure now."""
        links = descriptors(daemon.pid)
        places = (daemon.store, daemon.directory / "spool")
        return Usage(
            sockets=sum(link.startswith("socket:") for link in links),
            pipes=sum(link.startswith("pipe:") for link in links),
            files=(*daemon.open_files(), *(link for link in links if link.startswith(str(places[1])))),
            half_closed=_half_closed(daemon.port),
            threads=len(list(Path(f"/proc/{daemon.pid}/task").iterdir())),
            workers=len(daemon.workers()),
            memory=_private_memory(daemon.pid),
            staged=tuple(str(path) for place in places for path in place.rglob(".staging/*")),
            objects=self._count(daemon.pid),
        )

    def _count(self, pid: int) -> dict[str, int]:
        self._census.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR2)
        eventually(self._census.exists, "for the daemon to count its objects")
        counts = Counter(json.loads(self._census.read_text()))
        return {name: counts[name] for name in COUNTED}


def _half_closed(port: int) -> int:
    """The connections to `port` that the daemon has not noticed the end of."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(int(each[1].partition(":")[2], 16) == port and each[3] == _CLOSE_WAIT for each in fields)


def _private_memory(pid: int) -> int:
    """The proportional set size in bytes: what is shared with the workers counts in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise LookupError("Pss")
