"""Main program of a worker process: one job at a time, on open files that it receives, in a sandbox.

The daemon kills the process when a job takes too long. A process that dies loses nothing but its job.
"""

import errno
import json
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from twisted.internet.interfaces import IReactorCore, IReactorSocket, IReactorTime
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

from was_daemon.imaging.description import describe
from was_daemon.imaging.metadata import read_metadata
from was_daemon.imaging.render import Output, render
from was_daemon.imaging.writers import overwrite
from was_daemon.model.errors import BrokenImage, NoSpace
from was_daemon.workers.commands import (
    COMMANDS,
    FILES,
    Describe,
    MakePyramid,
    ReadMetadata,
    Ready,
    Render,
    RenderRegion,
)
from was_daemon.workers.heap import address_space, bound_heap, trim_heap
from was_daemon.workers.sandbox import confine

if TYPE_CHECKING:
    from was_daemon.imaging.decoded_tiles import DecodedTiles

_MAX_FILES = 253
"""Open files in one message; the kernel allows no more (SCM_MAX_FD)."""


class WorkerProtocol(amp.AMP):
    """Worker's end of the AMP connection to the daemon; `files` is the socket on which open files arrive."""

    def __init__(self, files: socket.socket) -> None:
        super().__init__()
        self._files = files
        self._decoded: DecodedTiles | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the process: the daemon has closed the connection."""
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
        with _full_disk_as_no_space(), self._received() as (source, *targets):
            orders = [Output(target=target, **output) for output, target in zip(outputs, targets, strict=True)]
            size = render(source, name, orders, max_pixels, (width, height) if width and height else None)
        return dict(zip(("width", "height"), size or (), strict=False))

    @MakePyramid.responder
    def make_pyramid(self, name: str, page: int, max_pixels: int) -> dict[str, Any]:
        """See `MakePyramid`."""
        # Most workers never need it, and libvips takes memory.
        from was_daemon.imaging.pyramid import write_pyramid

        with _full_disk_as_no_space(), self._received() as (source, target):
            write_pyramid(source, name, page, target, max_pixels)
        return {}

    @RenderRegion.responder
    def render_region(
        self, tiles: list[dict[str, int]], alpha: list[dict[str, int]], region: list[float], **view: Any
    ) -> dict[str, Any]:
        """See `RenderRegion`."""
        from was_daemon.imaging.decoded_tiles import DecodedTiles, PlacedTile
        from was_daemon.imaging.region import View, render_region

        self._decoded = self._decoded or DecodedTiles()

        with _full_disk_as_no_space(), self._received() as (source, memory, *disk):
            x, y, width, height = region
            colours, clear = ([PlacedTile(**tile) for tile in kind] for kind in (tiles, alpha))
            content = render_region(source, colours, (x, y, x + width, y + height), View(**view), self._decoded, clear)
            try:
                _write_answer(memory, content)
            except PermissionError:
                if not disk:
                    raise NoSpace("no space left for the picture") from None
                overwrite(disk[0], content)
            return {"length": len(content)}

    @ReadMetadata.responder
    def read_metadata(self) -> dict[str, Any]:
        """See `ReadMetadata`."""
        with _full_disk_as_no_space(), self._received() as (source, target):
            return _document_answer(target, read_metadata(source))

    @Describe.responder
    def describe(self, name: str) -> dict[str, Any]:
        """See `Describe`."""
        with _full_disk_as_no_space(), self._received() as (source, target):
            return _document_answer(target, describe(source, name).pack())

    @contextmanager
    def _received(self) -> Iterator[list[BinaryIO]]:
        """Receive the open files of a command: the first to read, the others to write. Free memory goes back later."""
        from twisted.internet import reactor

        # Before the answer leaves, as the daemon then looks at the address space; and after the job's objects are gone.
        IReactorTime(reactor).callLater(0, trim_heap)
        _, descriptors, _, _ = socket.recv_fds(self._files, 1, _MAX_FILES)
        with ExitStack() as files:
            source = files.enter_context(os.fdopen(descriptors[0], "rb"))
            yield [source, *(files.enter_context(os.fdopen(target, "r+b")) for target in descriptors[1:])]


def _document_answer(target: BinaryIO, document: Any) -> dict[str, Any]:
    content = json.dumps(document).encode()
    try:
        _write_answer(target, memoryview(content))
    except PermissionError:
        raise BrokenImage("the metadata is too long") from None
    return {"length": len(content)}


def _write_answer(target: BinaryIO, content: memoryview) -> None:
    """Write to the beginning of a file; raise PermissionError when its size is fixed, and too small."""
    # Not by the file object: closing it would try to write the rest once more.
    os.lseek(target.fileno(), 0, os.SEEK_SET)
    while content:
        content = content[os.write(target.fileno(), content) :]


@contextmanager
def _full_disk_as_no_space() -> Iterator[None]:
    # Entered before the files are: closing a file tries once more to write the rest, and fails again.
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("no space left for the picture") from error
        raise


def main() -> None:
    """Run a worker process; the first argument is the limit of its address space in bytes."""
    # A hostile file can cause a warning for each of its thousands of tags.
    warnings.simplefilter("ignore")
    from twisted.internet import reactor

    warnings_and_errors = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(textFileLogObserver(sys.stderr), [warnings_and_errors])])
    bound_heap()
    worker = WorkerProtocol(socket.socket(fileno=FILES))
    # Confined, it cannot read it any more.
    size = address_space(os.getpid()) or 0
    confine(int(sys.argv[1]))
    # Written without the reactor, which would handle the first command before it sent anything.
    os.write(COMMANDS, amp.AmpBox({amp.COMMAND: Ready.commandName, b"size": b"%d" % size}).serialize())
    os.set_blocking(COMMANDS, False)
    factory = ServerFactory()
    factory.protocol = lambda: worker
    IReactorSocket(reactor).adoptStreamConnection(COMMANDS, socket.AF_UNIX, factory)
    os.close(COMMANDS)
    IReactorCore(reactor).run()
