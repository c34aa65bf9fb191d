"""Worker processes seen from outside, and waiting for what they do."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

PATIENCE = 60.0
"""Seconds after which something that should happen is taken to have failed."""

_WORKER = b"was_daemon.workers.worker"


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fails after `PATIENCE` seconds."""
    deadline = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < deadline
        await deferLater(reactor, 0.005)


def worker_pids() -> set[int]:
    """The worker processes that this process has started and that live."""
    found = set()
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                status = (directory / "stat").read_text().rpartition(")")[2].split()
                is_ours = int(status[1]) == os.getpid() and status[0] != "Z"
                if is_ours and _WORKER in (directory / "cmdline").read_bytes():
                    found.add(int(directory.name))
    return found


@contextmanager
def paused(pids: set[int]) -> Iterator[None]:
    """Let these processes do nothing meanwhile, unless they are killed."""
    for pid in pids:
        # One that had nothing to do may have ended.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
