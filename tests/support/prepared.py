"""Processes of the installed commands that need not import Twisted and other libraries once more.

That is most of what the start of a daemon or of a command costs. A process that has imported what is not ours waits for
orders and forks for each; the fork then runs the script of the command, which imports all of ours, as ever.
"""

import atexit
import gc
import json
import math
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import IO, Any

_HEEDED_BY_PYTHON = ("PYTHON", "LANG", "LC_")
_OURS = ("was_daemon", "storage_plugins", "__main__")
_ROOTS = (
    *("twisted.scripts.twistd", "twisted.internet.epollreactor", "was_daemon.daemon.service", "was_daemon.cli.main"),
    # What a part of them import when they need it.
    *("was_daemon.catalogue.catalogue", "was_daemon.catalogue.migration", "was_daemon.specify.reader"),
    *("storage_plugins.sftp", "storage_plugins.webdav", "storage_plugins.s3"),
)
_LARGEST_ORDER = 1 << 18
_PATIENCE = 120
_SLICE = 0.1
"""Seconds for which one thread at most keeps others from starting processes, while it waits for the end of one."""

_REACTOR = "twisted.internet.reactor"


def can_run(environ: Mapping[str, str]) -> bool:
    """Whether a process with these variables may be a prepared one: an interpreter reads some when it starts."""
    return not any(name.startswith(_HEEDED_BY_PYTHON) for name in environ)


class Prepared:
    """A process that runs the script `command[0]`; used like a `subprocess.Popen` that writes to files."""

    def __init__(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        env: Mapping[str, str],
        stdout: IO[Any],
        stderr: IO[Any],
        start_new_session: bool,
    ) -> None:
        self.stdout, self.stderr = stdout, stderr
        self._server = _server()
        order = {"command": [str(part) for part in command], "cwd": str(cwd), "environ": dict(env)}
        self.pid = self._server.start({**order, "session": start_new_session}, stdout, stderr)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """What it ended with, minus the number of the signal that ended it; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.code(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """What it ended with; `subprocess.TimeoutExpired` when that takes more than so many seconds."""
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while self.returncode is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a prepared process", timeout or 0)
            self.returncode = self._server.code(self.pid, _SLICE)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def run(
    command: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command, without input, to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = Prepared(command, cwd or Path.cwd(), env, out, err, start_new_session=False)
        try:
            code = process.wait(_PATIENCE)
        finally:
            process.kill()
        return subprocess.CompletedProcess([*command], code, written(out), written(err))


def written(file: IO[str]) -> str:
    """All that is in a file."""
    file.seek(0)
    return file.read()


class _Server:
    """This side of the line to the process that forks."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._poll = select.poll()
        self._poll.register(self._line, select.POLLIN)
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}

    def close(self) -> None:
        self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()
        self._process.wait()

    def start(self, order: Mapping[str, object], stdout: IO[Any], stderr: IO[Any]) -> int:
        with self._lock, Path(os.devnull).open("rb") as nothing:
            files = [nothing.fileno(), stdout.fileno(), stderr.fileno()]
            socket.send_fds(self._line, [json.dumps(order).encode()], files)
            while (pid := self._receive()) is None:
                pass
            self._codes.pop(pid, None)
            return pid

    def code(self, pid: int, timeout: float) -> int | None:
        with self._lock:
            while pid not in self._codes and self._poll.poll(timeout * 1000):
                self._receive()
            return self._codes.get(pid)

    def _receive(self) -> int | None:
        # The number of a process that has begun; how one has ended is kept until somebody asks.
        message = self._line.recv(_LARGEST_ORDER)
        assert message, "the process that forks has ended"
        pid, code = json.loads(message)
        if code is None:
            return int(pid)
        self._codes[pid] = code
        return None


@cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


# -- the process that forks --------------------------------------------------------------------------------------------


def _import_what_is_not_ours() -> None:
    # Klein asks for the reactor when it is imported, but each process needs one of its own.
    sys.modules[_REACTOR] = ModuleType(_REACTOR)
    for name in _names():
        # Some modules make others that cannot be imported by their names.
        with suppress(ImportError):
            __import__(name)
    del sys.modules[_REACTOR]
    gc.collect()
    gc.freeze()


def _names() -> Iterator[str]:
    # What the daemon and the commands import, in this order.
    reading, writing = os.pipe()
    if os.fork() == 0:
        for root in _ROOTS:
            __import__(root)
        os.write(writing, "\n".join(sys.modules).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as names:
        yield from (name for name in names.read().split() if not name.startswith(_OURS))
    os.wait()


def _take_orders(line: socket.socket) -> dict[str, Any] | None:
    """The order, in each process that is forked; None in this one, when there are no more."""
    running: dict[int, int] = {}
    poll = select.poll()
    poll.register(line, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != line.fileno():
                poll.unregister(ready)
                os.close(ready)
                pid, status = os.waitpid(running.pop(ready), 0)
                _tell(line, pid, os.waitstatus_to_exitcode(status))
                continue
            message, files, _, _ = socket.recv_fds(line, _LARGEST_ORDER, 3)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                line.close()
                _take_over(files, list(running))
                return dict(json.loads(message))
            for file in files:
                os.close(file)
            pidfd = os.pidfd_open(pid)
            running[pidfd] = pid
            poll.register(pidfd, select.POLLIN)
            _tell(line, pid, None)


def _tell(line: socket.socket, pid: int, code: int | None) -> None:
    # When nobody listens any more, there are no more orders either.
    with suppress(BrokenPipeError):
        line.send(json.dumps([pid, code]).encode())


def _take_over(files: list[int], others: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
    for each in (*files, *others):
        os.close(each)


def _carry_out(order: dict[str, Any]) -> None:
    if order["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    time.tzset()
    tempfile.tempdir = None
    script = order["command"][0]
    sys.argv = order["command"]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    # The line's end says when to end, also when somebody interrupts the tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_what_is_not_ours()
    if order := _take_orders(socket.socket(fileno=int(sys.argv[1]))):
        _carry_out(order)
