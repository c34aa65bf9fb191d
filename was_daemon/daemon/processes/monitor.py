"""Starting the daemons, replacing those that end, and reading their log."""

import fcntl
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.runner.procmon import LoggingProtocol, ProcessMonitor

from was_daemon.concurrency.child_processes import PARENT, command, module_path
from was_daemon.daemon.processes.sockets import FIRST_DESCRIPTOR

_BOOTSTRAP = "from was_daemon.daemon.processes.child import main; main()"
_SYSTEMD_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""Environment variables of systemd that are not passed on."""

_LOG_SECONDS = 0.05
"""Seconds for which lines of the log may wait for more."""

_FULL_READ = 4096
"""Bytes of the log that are read at once when there may be more."""

_PIPE_SIZE = 1 << 20
"""Room for lines that the parent has not read yet: a daemon does not wait for its log to be written."""

_log = Logger()


@attrs.define(eq=False)
class Child:
    """The daemon with one number: the one that runs, or its successor.

    `arguments` are for `child.main`; it listens on `sockets`. `admin` and `notify` are paths of Unix sockets: at one it
    answers monitoring, to the other it sends the messages of sd_notify(3).
    """

    number: int
    arguments: Sequence[str]
    sockets: Sequence[socket.socket]
    admin: Path
    notify: Path
    serves: bool = False
    is_reloading: bool = False
    must_reload: bool = False
    """SIGHUP came while it was starting; sent again when it serves."""
    last_message: float = 0.0
    """Time of its last message, by the reactor's clock."""

    def environment(self, watchdog_seconds: float) -> dict[str, str]:
        """Return the environment variables to start it with."""
        kept = {name: value for name, value in os.environ.items() if name not in _SYSTEMD_VARIABLES}
        names = ":".join(f"listen-{index}" for index in range(len(self.sockets)))
        own = {
            "PYTHONPATH": module_path(),
            "NOTIFY_SOCKET": str(self.notify),
            "LISTEN_FDS": str(len(self.sockets)),
            "LISTEN_FDNAMES": names,
        }
        watched = {"WATCHDOG_USEC": str(round(watchdog_seconds * 1e6))} if watchdog_seconds else {}
        return {**kept, **own, **watched}

    def stop_accepting(self) -> None:
        """Shut the listening sockets down, so that the kernel gives new connections to the other daemons.

        The sockets stay bound. The successor listens on them again.
        """
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RD)


class Monitor(ProcessMonitor):
    """Service that keeps a daemon running for each of `children`.

    `write` is called with whole lines of their log, `ended` whenever a process has ended. A daemon that has run for a
    while is replaced at once, others after a time that doubles.
    """

    threshold = 10
    maxRestartDelay = 30

    def __init__(
        self,
        children: Sequence[Child],
        watchdog_seconds: float,
        write: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        from twisted.internet import reactor

        super().__init__(IReactorProcess(reactor))
        self._time = IReactorTime(reactor)
        self._children: Mapping[str, Child] = {str(child.number): child for child in children}
        self.write = write
        self._ended = ended
        for name, child in self._children.items():
            self.addProcess(name, command(_BOOTSTRAP, *child.arguments), env=child.environment(watchdog_seconds))

    def startProcess(self, name: str) -> None:
        """Start a daemon with its sockets, and read its log; see `ProcessMonitor`."""
        from twisted.internet import reactor

        if name in self.protocols:
            return
        child, process, protocol = self._children[name], self._processes[name], _DaemonProtocol(self, name)
        self.protocols[name] = protocol
        self.timeStarted[name] = self._time.seconds()
        handed = {FIRST_DESCRIPTOR + index: each.fileno() for index, each in enumerate(child.sockets)}
        environment = {**process.env, PARENT: str(os.getpid())}
        IReactorProcess(reactor).spawnProcess(
            protocol, process.args[0], process.args, env=environment, childFDs={0: "w", 1: "r", 2: "r", **handed}
        )

    def send_signal(self, child: Child, number: signal.Signals) -> None:
        """Send a signal to a process, if it is there."""
        protocol = self.protocols.get(str(child.number))
        if protocol and protocol.transport:
            with suppress(ProcessExitedAlready):
                protocol.transport.signalProcess(number.name.removeprefix("SIG"))

    def process_ended(self, name: str, end: Any) -> None:
        """Log the end of a process, and have the parent know of it; the successor is scheduled already."""
        child = self._children[name]
        if not child.serves and self.running:
            child.stop_accepting()
        child.serves = child.is_reloading = child.must_reload = False
        restart = self.restart.get(name)
        if self.running and restart and restart.active():
            delay = round(restart.getTime() - self._time.seconds())
            # An operator ends a process by SIGTERM to have it replaced: that is no error.
            (_log.info if _is_requested_end(end) else _log.error)(
                "Process {number} ended, {reason}; its successor starts {moment}",
                number=child.number,
                reason=_reason(end),
                moment=f"in {delay} s" if delay > 0 else "now",
            )
        self._ended()


class _DaemonProtocol(LoggingProtocol):
    """The pipes of one process."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        self.service = monitor
        self.name = name
        self._monitor = monitor
        self._unfinished = b""
        self._stderr = b""

    def connectionMade(self) -> None:
        """See `ProcessProtocol`."""
        super().connectionMade()
        transport: Any = self.transport
        for pipe in transport.pipes.values():
            with suppress(OSError):
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_SIZE)

    def outReceived(self, data: bytes) -> None:
        """Pass on whole lines of the log."""
        lines, separator, self._unfinished = (self._unfinished + data).rpartition(b"\n")
        if separator:
            self._monitor.write((lines + separator).decode("utf-8", "replace"))
        if len(data) < _FULL_READ:
            self._read_later()

    def _read_later(self) -> None:
        from twisted.internet import reactor

        # To be woken for each line took a tenth of the time of a small request.
        transport: Any = self.transport
        transport.pauseProducing()
        IReactorTime(reactor).callLater(_LOG_SECONDS, transport.resumeProducing)

    def errReceived(self, data: bytes) -> None:
        """Keep messages to stderr: of a process without a log yet, or of the interpreter when it crashes."""
        self._stderr += data

    def processEnded(self, reason: Failure) -> None:
        """See `ProcessProtocol`."""
        if self._unfinished:
            self.outReceived(b"\n")
        words = "; ".join(self._stderr.decode("utf-8", "replace").strip().split("\n")).replace(":; ", ": ")
        if words:
            _log.error("Process {number}: {words}", number=self.name, words=words)
        super().processEnded(reason)
        self._monitor.process_ended(self.name, reason.value)


def _is_requested_end(end: Any) -> bool:
    """Return whether a process ended because it was asked to; before it handles signals, they kill it."""
    return bool(end.exitCode == 0 or end.signal == signal.SIGTERM)


def _reason(end: Any) -> str:
    if end.signal:
        return f"killed by {signal.Signals(end.signal).name}"
    return f"with status {end.exitCode}"
