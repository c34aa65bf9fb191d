"""One worker process, seen from the daemon: started, given jobs one by one, killed when it takes too long."""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionClosed, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorSocket, IReactorTime, ITCPTransport
from twisted.internet.protocol import ProcessProtocol, ServerFactory
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from was_daemon.workers.commands import COMMANDS, FILES, Ready
from was_daemon.workers.interpreter import command, module_path

_BOOTSTRAP = "from was_daemon.workers.worker import main; main()"
_LOGGED_LINES = 10
_MOST_SAID = 1 << 20
"""Bytes that an answer never needs: a worker that says more has been taken over by a file."""

_DEATH_SECONDS = 5.0


class WorkerDied(Exception):
    """The process ended, or was made to, before the job was done."""


class WorkerTookTooLong(Exception):
    """The process was killed because the job took more time than it may."""


class WorkerCannotStart(Exception):
    """The process ended before it could work."""


class WorkerProcess(ProcessProtocol):
    """A process that does one job at a time, in `memory` bytes of address space.

    `gone` is called when it has ended, or hangs so that not even killing ends it - as a process does that reads from a
    mount that hangs. `calls` is how many jobs it was given; `is_usable` tells whether it can be given another.
    """

    _log = Logger()

    def __init__(self, memory: int, gone: Callable[["WorkerProcess"], None]) -> None:
        self.calls = 0
        self.is_usable = True
        self.has_ended = False
        self._gone = gone
        self._ready = False
        self._late = False
        self._is_gone = False
        self._commands = _Commands(self)
        self._end: list[Deferred[None]] = []
        self._patience: IDelayedCall | None = None
        self._overdue: IDelayedCall | None = None
        self._timeout = 0.0
        ours, theirs = socket.socketpair()
        self._files, their_files = socket.socketpair(type=socket.SOCK_SEQPACKET)
        for socket_of_ours in (ours, self._files):
            socket_of_ours.setblocking(False)
        with ours, theirs, their_files:
            self._process = _spawn(self, memory, theirs.fileno(), their_files.fileno())
            _reactor(IReactorSocket).adoptStreamConnection(
                ours.fileno(), socket.AF_UNIX, ServerFactory.forProtocol(lambda: self._commands)
            )

    async def call(
        self, command: type[amp.Command], files: Sequence[int], timeout: float, **arguments: Any
    ) -> dict[str, Any]:
        """Do a job with these open files, in at most `timeout` seconds, and as many for the start of the process.

        Raises what `command` declares, `WorkerDied`, `WorkerTookTooLong` and `WorkerCannotStart`.
        """
        self.calls += 1
        self._overdue = overdue = _reactor(IReactorTime).callLater(timeout, self._be_late)
        self._timeout = timeout
        try:
            # Sent at once: who opened the files may close them from now on.
            socket.send_fds(self._files, [b"\0"], files)
            answer: dict[str, Any] = await self._commands.ask(command, arguments)
            return answer
        except (ConnectionClosed, OSError):
            await self.end()
            if self._late:
                raise WorkerTookTooLong from None
            raise (WorkerDied if self._ready else WorkerCannotStart) from None
        finally:
            if overdue.active():
                overdue.cancel()

    def ready(self) -> None:
        """The process can work; a job that waits for it begins only now."""
        self._ready = True
        if self._overdue and self._overdue.active():
            self._overdue.reset(self._timeout)

    def _be_late(self) -> None:
        self._late = True
        self.end()

    def end(self) -> Deferred[None]:
        """Kill the process; fires when it is gone, or is not expected to go any more."""
        self.is_usable = False
        if self._is_gone:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._end.append(done)
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")
        if self._patience is None:
            self._patience = _reactor(IReactorTime).callLater(_DEATH_SECONDS, self._give_up)
        return done

    def _give_up(self) -> None:
        self._log.error("Worker {pid} cannot be killed: a disk or a mount hangs", pid=self._process.pid)
        self._leave()

    def processExited(self, reason: Failure) -> None:
        """See `ProcessProtocol`."""
        if not self._end:
            self._log.error("A worker ended: {reason}", reason=reason.getErrorMessage())
        self.has_ended = True
        self.is_usable = False
        self._leave()

    def _leave(self) -> None:
        if self._patience and self._patience.active():
            self._patience.cancel()
        self._is_gone = True
        self._files.close()
        self._commands.abort()
        self._gone(self)
        while self._end:
            self._end.pop().callback(None)

    def outReceived(self, data: bytes) -> None:
        """Log what image libraries print about broken files."""
        lines = data.decode("utf-8", "replace").splitlines()
        for line in lines[:_LOGGED_LINES]:
            self._log.info("A worker says: {line}", line=line)
        if len(lines) > _LOGGED_LINES:
            self._log.info("... and {more} lines more", more=len(lines) - _LOGGED_LINES)

    errReceived = outReceived


class _Commands(amp.AMP):
    """The daemon's end of the line to a worker, which is not trusted."""

    def __init__(self, worker: WorkerProcess) -> None:
        super().__init__()
        self._worker = worker
        self._said = 0

    def ask(self, command: type[amp.Command], arguments: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """The answer to a command; fails with ConnectionClosed when the worker dies."""
        self._said = 0
        if self.transport is None:
            return fail(ConnectionClosed())
        answer: Deferred[dict[str, Any]] = self.callRemote(command, **arguments)
        return answer

    @Ready.responder
    def ready(self) -> dict[str, Any]:
        """See `Ready`."""
        self._worker.ready()
        return {}

    def dataReceived(self, data: bytes) -> None:
        """Listen, to a point."""
        self._said += len(data)
        if self._said > _MOST_SAID:
            self._worker.end()
        else:
            super().dataReceived(data)

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Take no files from a worker."""
        os.close(descriptor)

    def abort(self) -> None:
        """Hang up."""
        if self.transport is not None:
            ITCPTransport(self.transport).abortConnection()


def _spawn(protocol: ProcessProtocol, memory: int, commands: int, files: int) -> Any:
    """Start a process that finds the modules this process finds, and gets nothing else from its environment."""
    arguments = command(_BOOTSTRAP, str(memory))
    return _reactor(IReactorProcess).spawnProcess(
        protocol,
        arguments[0],
        arguments,
        env={"PYTHONPATH": module_path()},
        path="/",
        childFDs={0: "w", 1: "r", 2: "r", COMMANDS: commands, FILES: files},
    )


def _reactor(interface: Callable[[Any], Any]) -> Any:
    from twisted.internet import reactor

    return interface(reactor)
