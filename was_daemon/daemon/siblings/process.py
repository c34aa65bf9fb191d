"""One of the other processes, seen from the first: started, replaced when it ends, told what to do."""

import fcntl
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectionClosed, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.daemon.siblings.line import Handlers, Line
from was_daemon.workers.interpreter import command, module_path

LINE, SHARED, FIRST_PORT = 3, 4, 5
"""The descriptors that a process is born with: the line to the first, what all share, and then the ports."""

_BOOTSTRAP = "from was_daemon.daemon.siblings.other import main; main()"
_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""What systemd tells the first process only."""

_LASTING_SECONDS = 10.0
"""A process that has served for so long is replaced at once, others after a time that doubles."""

_SHORTEST, _LONGEST = 1.0, 30.0
_PATIENCE_SECONDS = 3.0
_RELOAD_SECONDS = 30.0
_LOG_SECONDS = 0.05
"""How long lines of the log may wait for more."""

_MUCH = 4096
"""Where so much is read at once, there may be more."""

_PIPE_SIZE = 1 << 20
"""So that a process does not wait for the first to write its log."""


@attrs.frozen
class Birth:
    """What a process starts with: `document` is the first it is told, `ports` are descriptors."""

    document: Mapping[str, Any]
    shared: int
    ports: list[int]


class OtherProcess:
    """Process `number` of the daemon, one after another if need be, until `stop`.

    `birth` is asked for what a new one starts with, `handlers` are for what it says besides that it serves, `said` is
    called with whole lines of its log, and `changed` when one begins or ceases to serve.
    """

    _log = Logger()

    def __init__(
        self,
        number: int,
        birth: Callable[[int], Birth],
        handlers: Handlers,
        said: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        from twisted.internet import reactor

        self.number = number
        self.serves = False
        self._clock = IReactorTime(reactor)
        self._birth = birth
        self._handlers: Handlers = {**handlers, "ready": self._ready, "alive": self._alive}
        self._said = said
        self._changed = changed
        self._life: _Life | None = None
        self._stopping = False
        self._delay = 0.0
        self._since = 0.0
        self._was_heard = True
        self._next: IDelayedCall | None = None
        self._end: list[Deferred[None]] = []

    def start(self) -> None:
        """Start a process."""
        self._was_heard = True
        self._since = self._clock.seconds()
        self._life = _Life(Line(self._handlers, lambda: None), self._said, self._ended)
        try:
            self._life.begin(self.number, self._birth(self.number))
        except OSError as error:
            # The machine has no room for one more at the moment.
            self._life.line.hang_up()
            self._ended(str(error), was_asked=False)

    def _ready(self, _value: None) -> None:
        self.serves = True
        self._changed()

    def _alive(self, _value: None) -> None:
        self._was_heard = True

    def tell(self, what: str, value: Any = None) -> None:
        """Say something to the process, if there is one."""
        if self._life:
            self._life.line.tell(what, value)

    async def ask(self, what: str, value: Any = None, seconds: float = _PATIENCE_SECONDS) -> Any:
        """The process's answer; None if there is no process, or it does not answer within so many seconds."""
        if not self._life or not self.serves:
            return None
        try:
            return await self._life.line.ask(what, value, seconds)
        except (ConnectionClosed, DeferredTimeout):
            return None

    async def reload(self, document: Mapping[str, Any]) -> None:
        """Have the process go by the configuration that `document` tells of."""
        if self.serves:
            await self.ask("reload", document, _RELOAD_SECONDS)
        else:
            # It hears of it as soon as it listens.
            self.tell("reload", document)

    def watch(self) -> None:
        """Replace the process if it has not answered since the last call."""
        if not self.serves:
            return
        if self._was_heard:
            self._was_heard = False
            self.tell("alive")
        else:
            self._log.error("Process {number} hangs, and is killed", number=self.number)
            self.kill()

    def stop(self, how: str = "stop") -> None:
        """End the process, and start no other; `how` may be "hurry"."""
        self._stopping = True
        if self._next and self._next.active():
            self._next.cancel()
        if not self._life:
            return
        if self.serves:
            self.tell(how)
        else:
            # It has no clients yet, and may be deaf for a second.
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._life:
            self._life.kill()

    def give_up(self) -> None:
        """Wait no longer for the end of a process that cannot be killed."""
        if self._life:
            self._log.error("Process {number} cannot be killed: a disk or a mount hangs", number=self.number)
            self._notify()

    def ended(self) -> Deferred[None]:
        """Wait until there is no process."""
        done: Deferred[None] = Deferred()
        self._end.append(done)
        if not self._life:
            self._notify()
        return done

    def _notify(self) -> None:
        while self._end:
            self._end.pop().callback(None)

    def _ended(self, reason: str, was_asked: bool) -> None:
        self._life = None
        lasted = self.serves and self._clock.seconds() > self._since + _LASTING_SECONDS
        self.serves = False
        self._changed()
        if self._stopping:
            self._notify()
            return
        self._delay = 0.0 if lasted else min(_LONGEST, 2 * self._delay or _SHORTEST)
        # To end one process is how an operator has it replaced: nobody is to be woken for that.
        (self._log.info if was_asked else self._log.error)(
            "Process {number} ended, {reason}; its successor starts {moment}",
            number=self.number,
            reason=reason,
            moment=f"in {self._delay:g} s" if self._delay else "now",
        )
        self._next = self._clock.callLater(self._delay, self.start)


class _Life(ProcessProtocol):
    """One process from its start to its end: `ended` is told the reason, and whether somebody asked for it."""

    _log = Logger()

    def __init__(self, line: Line, said: Callable[[str], None], ended: Callable[[str, bool], None]) -> None:
        self.line = line
        self._said = said
        self._ended = ended
        self._unfinished = b""
        self._process: Any = None

    def begin(self, number: int, birth: Birth) -> None:
        """Start it."""
        from twisted.internet import reactor

        ours, theirs = socket.socketpair()
        handed = {LINE: theirs.fileno(), SHARED: birth.shared}
        handed |= {FIRST_PORT + index: fd for index, fd in enumerate(birth.ports)}
        arguments = command(_BOOTSTRAP, str(number))
        environment = {name: value for name, value in os.environ.items() if name not in _MANAGER}
        with ours, theirs:
            self.line.connect(ours)
            self._process = IReactorProcess(reactor).spawnProcess(
                self,
                arguments[0],
                arguments,
                env={**environment, "PYTHONPATH": module_path()},
                childFDs={0: "w", 1: "r", 2: "r", **handed},
            )
        self.line.tell("birth", birth.document)

    def connectionMade(self) -> None:
        """See `ProcessProtocol`."""
        transport: Any = self.transport
        for pipe in transport.pipes.values():
            with suppress(OSError):
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_SIZE)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        """Pass on whole lines."""
        lines, separator, self._unfinished = (self._unfinished + data).rpartition(b"\n")
        if separator:
            self._said((lines + separator).decode("utf-8", "replace"))
        if len(data) < _MUCH:
            self._listen_later()

    def errReceived(self, data: bytes) -> None:
        """Log what an interpreter says that has no log yet, or dies."""
        self._log.error("{words}", words=data.decode("utf-8", "replace").strip())

    def _listen_later(self) -> None:
        from twisted.internet import reactor

        # To be woken for each line took a tenth of the time of a small request.
        transport: Any = self.transport
        transport.pauseProducing()
        IReactorTime(reactor).callLater(_LOG_SECONDS, transport.resumeProducing)

    def processEnded(self, reason: Failure) -> None:
        """See `ProcessProtocol`."""
        if self._unfinished:
            self.outReceived(b"\n")
        self.line.hang_up()
        self._ended(_words(reason.value), _was_asked(reason.value))


def _was_asked(end: Any) -> bool:
    # One that has not begun to heed signals is killed by it.
    return bool(end.exitCode == 0 or end.signal == signal.SIGTERM)


def _words(end: Any) -> str:
    if end.signal:
        return f"killed by {signal.Signals(end.signal).name}"
    return f"with status {end.exitCode}"
