"""What a worker process does: one job at a time, by path, under limits it cannot lift.

The process runs with a low priority and a ceiling on its memory; whoever started it kills it when a job takes too
long. It may die at any moment without more being lost than the job.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ampoule.child import AMPChild
from twisted.internet.interfaces import IReactorCore
from twisted.internet.stdio import StandardIO
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from was_daemon.thumbnails.commands import ReadMetadata, Render
from was_daemon.thumbnails.failures import DiskFull
from was_daemon.thumbnails.metadata import read_metadata
from was_daemon.thumbnails.render import Output, render

_NICE = 10

_PR_SET_PDEATHSIG = 1
"""See prctl(2)."""

_TO_WORKER, _FROM_WORKER = 3, 4
"""The descriptors on which ampoule talks to its children."""


class Worker(AMPChild):  # type: ignore[misc]  # ampoule has no types
    """The worker's end of the pipe."""

    @Render.responder
    def render(self, source: str, name: str, outputs: list[dict[str, Any]], max_pixels: int) -> dict[str, Any]:
        """See `Render`."""
        with _noticing_full_disks():
            render(source, name, [Output(**output) for output in outputs], max_pixels)
        return {}

    @ReadMetadata.responder
    def read_metadata(self, source: str, target: str) -> dict[str, Any]:
        """See `ReadMetadata`."""
        document = json.dumps(read_metadata(source))
        with _noticing_full_disks():
            Path(target).write_text(document, "utf-8")
        return {}


@contextmanager
def _noticing_full_disks() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from error
        raise


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends: one that a crafted file keeps busy would not notice."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Be a worker process; the first argument is the ceiling of its memory in bytes."""
    _end_with_parent()
    # A hostile file can have a warning for every one of its thousands of tags.
    warnings.simplefilter("ignore")
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)

    from twisted.internet import reactor

    from_warnings_on = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(textFileLogObserver(sys.stderr), [from_warnings_on])])
    StandardIO(Worker(), _TO_WORKER, _FROM_WORKER)  # type: ignore[call-arg]  # its annotations are those of Windows
    IReactorCore(reactor).run()
