"""What a worker process does: one job at a time, on files that it is handed open, in a sandbox it cannot leave.

Whoever started it kills it when a job takes too long. It may die at any moment without more being lost than the job.
"""

import errno
import json
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from twisted.internet.interfaces import IReactorCore, IReactorSocket
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.protocols import amp
from twisted.python.failure import Failure

from was_daemon.imaging.metadata import read_metadata
from was_daemon.imaging.render import Output, render
from was_daemon.imaging.writers import overwrite
from was_daemon.model.errors import NoSpace
from was_daemon.workers.commands import COMMANDS, FILES, ReadMetadata, Ready, Render
from was_daemon.workers.sandbox import confine

_MOST_FILES = 253
"""The kernel sends no more at once."""


class Worker(amp.AMP):
    """The worker's end of the line. `files` is the socket that brings what belongs to a command."""

    def __init__(self, files: socket.socket) -> None:
        super().__init__()
        self._files = files

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End: whoever wanted something has gone."""
        os._exit(0)

    @Render.responder
    def render(
        self,
        name: str,
        outputs: list[dict[str, Any]],
        max_pixels: int,
        width: int | None = None,
        height: int | None = None,
    ) -> dict[str, Any]:
        """See `Render`."""
        with _noticing_full_disks(), self._received() as (source, *targets):
            orders = [Output(target=target, **output) for output, target in zip(outputs, targets, strict=True)]
            size = render(source, name, orders, max_pixels, (width, height) if width and height else None)
        return dict(zip(("width", "height"), size or (), strict=False))

    @ReadMetadata.responder
    def read_metadata(self) -> dict[str, Any]:
        """See `ReadMetadata`."""
        with _noticing_full_disks(), self._received() as (source, target):
            overwrite(target, json.dumps(read_metadata(source)).encode())
        return {}

    @contextmanager
    def _received(self) -> Iterator[list[BinaryIO]]:
        """The files of the command: the first to read, the others to write."""
        _, descriptors, _, _ = socket.recv_fds(self._files, 1, _MOST_FILES)
        with ExitStack() as files:
            source = files.enter_context(os.fdopen(descriptors[0], "rb"))
            yield [source, *(files.enter_context(os.fdopen(target, "r+b")) for target in descriptors[1:])]


@contextmanager
def _noticing_full_disks() -> Iterator[None]:
    # Around the files, too: closing one tries once more to write what there was no space for, and fails again.
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("no space left for the thumbnail") from error
        raise


def main() -> None:
    """Be a worker process; the first argument is the ceiling of its memory in bytes."""
    # A hostile file can have a warning for every one of its thousands of tags.
    warnings.simplefilter("ignore")
    from twisted.internet import reactor

    from_warnings_on = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(textFileLogObserver(sys.stderr), [from_warnings_on])])
    worker = Worker(socket.socket(fileno=FILES))
    confine(int(sys.argv[1]))
    # By hand: the reactor would look at the first command before it sent anything.
    os.write(COMMANDS, amp.AmpBox({amp.COMMAND: Ready.commandName}).serialize())
    os.set_blocking(COMMANDS, False)
    factory = ServerFactory()
    factory.protocol = lambda: worker
    IReactorSocket(reactor).adoptStreamConnection(COMMANDS, socket.AF_UNIX, factory)
    os.close(COMMANDS)
    IReactorCore(reactor).run()
