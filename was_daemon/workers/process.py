"""Worker process as the daemon sees it: started, given one job after another, killed when a job takes too long."""

import os
import signal
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

from was_daemon.concurrency.child_processes import command, module_path
from was_daemon.concurrency.waiting import Waiters
from was_daemon.workers.commands import COMMANDS, FILES, Ready
from was_daemon.workers.heap import address_space
from was_daemon.workers.output import WorkerOutput

_BOOTSTRAP = "import sys; sys.modules['OpenSSL'] = None; from was_daemon.workers.worker import main; main()"
"""Program of a worker. Twisted would import OpenSSL, which takes a third of the time until a worker is ready."""

_MAX_ANSWER = 1 << 20
"""Bytes of an answer. No honest answer is as long: a worker that sends more has been taken over by a file."""

_KILL_SECONDS = 5.0
"""Time after SIGKILL until a worker counts as one that cannot be killed."""


class WorkerDied(Exception):
    """The process ended, or was killed, before the job was done."""


class WorkerKilled(WorkerDied):
    """Somebody else has killed the process: an administrator, or the system because memory was short."""


class WorkerTookTooLong(Exception):
    """The process was killed because the job took longer than its time limit."""


class WorkerCannotStart(Exception):
    """The process ended before it was ready for its first job."""


class WorkerProcess(ProcessProtocol):
    """Worker process that does one job at a time, in `memory` bytes of address space.

    `on_gone` is called when the process has ended, and when it survives SIGKILL, as a process does that reads from a
    hanging mount. `calls` is the number of jobs it was given; `is_usable` is False once it can be given no more.
    """

    _log = Logger()

    def __init__(self, memory: int, on_gone: Callable[["WorkerProcess"], None]) -> None:
        self.calls = 0
        self.is_usable = True
        self.has_ended = False
        self._on_gone = on_gone
        self._ready = False
        self._is_overdue = False
        self._has_sent_too_much = False
        self._was_killed = False
        self._is_gone = False
        self._first_size = 0
        self._output = WorkerOutput()
        self._connection = _WorkerConnection(self)
        self._end_waiters = Waiters()
        self._kill_timer: IDelayedCall | None = None
        self._job_timer: IDelayedCall | None = None
        self._timeout = 0.0
        ours, theirs = socket.socketpair()
        self._files, their_files = socket.socketpair(type=socket.SOCK_SEQPACKET)
        for own_socket in (ours, self._files):
            own_socket.setblocking(False)
        with ours, theirs, their_files:
            self._process = _spawn(self, memory, theirs.fileno(), their_files.fileno())
            _reactor(IReactorSocket).adoptStreamConnection(
                ours.fileno(), socket.AF_UNIX, ServerFactory.forProtocol(lambda: self._connection)
            )

    async def call(
        self, command: type[amp.Command], files: Sequence[int], timeout: float, **arguments: Any
    ) -> dict[str, Any]:
        """Call the worker with these open files and return its answer.

        The job may take `timeout` seconds, and the start of the process as many. Raises the errors that `command`
        declares, `WorkerDied`, `WorkerKilled`, `WorkerTookTooLong` and `WorkerCannotStart`.
        """
        self.calls += 1
        self._output.begin(arguments.get("name"))
        self._job_timer = job_timer = _reactor(IReactorTime).callLater(timeout, self._time_out)
        self._timeout = timeout
        try:
            # Sent before anything is awaited: from then on the caller may close the files.
            socket.send_fds(self._files, [b"\0"], files)
            answer: dict[str, Any] = await self._connection.ask(command, arguments)
            return answer
        except (ConnectionClosed, OSError):
            await self.end()
            raise self._cause_of_end() from None
        finally:
            if job_timer.active():
                job_timer.cancel()

    def _cause_of_end(self) -> Exception:
        if self._is_overdue:
            return WorkerTookTooLong()
        if not self._ready:
            return WorkerCannotStart()
        # A decoder that fails ends the process by other signals, and the sandbox lets no process send this one.
        return WorkerKilled() if self._was_killed and not self._has_sent_too_much else WorkerDied()

    @property
    def growth(self) -> int:
        """Address space in bytes that the process has taken since it was ready for its first job; 0 if unknown."""
        if not self._first_size or self.has_ended:
            return 0
        return (address_space(self._process.pid) or 0) - self._first_size

    def ready(self, size: int) -> None:
        """Note that the process is ready, with `size` bytes of address space, 0 if unknown.

        The time limit of a job that waits for it begins now.
        """
        self._ready = True
        self._first_size = size
        if self._job_timer and self._job_timer.active():
            self._job_timer.reset(self._timeout)

    def _time_out(self) -> None:
        self._is_overdue = True
        self.end()

    def reject_answer(self) -> None:
        """Kill the process for an answer that is longer than any honest one."""
        self._has_sent_too_much = True
        self.end()

    def end(self) -> Deferred[None]:
        """Kill the process; fire when it has ended, or cannot be killed."""
        self.is_usable = False
        if self._is_gone:
            return succeed(None)
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")
        if self._kill_timer is None:
            self._kill_timer = _reactor(IReactorTime).callLater(_KILL_SECONDS, self._give_up)
        return self._end_waiters.add()

    def _give_up(self) -> None:
        self._log.error("Worker {pid} cannot be killed: a disk or a mount hangs", pid=self._process.pid)
        self._leave()

    def processExited(self, reason: Failure) -> None:
        """See `ProcessProtocol`."""
        if self.is_usable:
            self._log.error("A worker ended: {reason}", reason=reason.getErrorMessage())
        self._was_killed = getattr(reason.value, "signal", None) == signal.SIGKILL
        self.has_ended = True
        self.is_usable = False
        self._leave()

    def _leave(self) -> None:
        if self._kill_timer and self._kill_timer.active():
            self._kill_timer.cancel()
        self._is_gone = True
        self._files.close()
        self._connection.abort()
        self._on_gone(self)
        self._end_waiters.release()

    def outReceived(self, data: bytes) -> None:
        """Log what image libraries print about broken files."""
        self._output.add(data)

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """See `ProcessProtocol`; all output has arrived."""
        self._output.end()


class _WorkerConnection(amp.AMP):
    """Daemon's end of the AMP connection to a worker, which is not trusted."""

    def __init__(self, worker: WorkerProcess) -> None:
        super().__init__()
        self._worker = worker
        self._received = 0

    def ask(self, command: type[amp.Command], arguments: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """Send a command and fire with its answer; fail with ConnectionClosed when the worker dies."""
        self._received = 0
        if self.transport is None:
            return fail(ConnectionClosed())
        answer: Deferred[dict[str, Any]] = self.callRemote(command, **arguments)
        return answer

    @Ready.responder
    def ready(self, size: int) -> dict[str, Any]:
        """See `Ready`."""
        self._worker.ready(size)
        return {}

    def dataReceived(self, data: bytes) -> None:
        """Kill a worker whose answer is too long."""
        self._received += len(data)
        if self._received > _MAX_ANSWER:
            self._worker.reject_answer()
        else:
            super().dataReceived(data)

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Close a file that a worker sends."""
        os.close(descriptor)

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            ITCPTransport(self.transport).abortConnection()


def _spawn(protocol: ProcessProtocol, memory: int, commands: int, files: int) -> Any:
    """Start a worker. From the environment it gets nothing but the path of this process's modules."""
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
