"""Remote stores for daemons under test: real servers behind a relay that counts, and that can be made to hold back."""

import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from tests.support import davservers
from tests.support.client import Connection
from tests.support.needs import lacking
from tests.support.sshd import SSHD, USER, make_key

KINDS = ("sftp", "webdav")

_BUFFER = 1 << 18


class Relay:
    """A `port`, or any, that leads to the port `target` of this machine, with threads of its own.

    `sent` and `received` count the bytes that went to the target and came from it.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._state = Condition()
        self._limit: int | None = None
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0
        self.received = 0
        Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """How many connections go through it now."""
        with self._state:
            return len(self._open) // 2

    def count_anew(self) -> None:
        """Count from zero."""
        with self._state:
            self.sent = self.received = 0

    @contextmanager
    def holding(self, after: int) -> Iterator[Callable[[], bool]]:
        """Let only about `after` more bytes go to the target meanwhile; tells whether something is held back."""
        with self._state:
            self._limit = self.sent + after
        try:
            yield lambda: self._limit is not None and self.sent >= self._limit
        finally:
            with self._state:
                self._limit = None
                self._state.notify_all()

    def passed(self, data: bytes) -> bytes:
        """What becomes of `data` on its way."""
        return data

    def close(self) -> None:
        """Close all connections, and listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._state:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._limit = None
            self._state.notify_all()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                with self._state:
                    self._open += [near, far]
                Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        back = Thread(target=self._pump, args=(far, near, self._received), daemon=True)
        back.start()
        self._pump(near, far, self._gate())
        back.join()
        with self._state:
            for end in (near, far):
                self._open.remove(end)
                end.close()

    def _pump(self, source: socket.socket, target: socket.socket, let_pass: Callable[[int], None]) -> None:
        with suppress(OSError):
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := source.recv(_BUFFER):
                let_pass(len(data))
                target.sendall(self.passed(data))
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _gate(self) -> Callable[[int], None]:
        """What lets so many bytes of a new connection pass to the target, or waits."""
        return self._sent

    def _sent(self, size: int) -> None:
        with self._state:
            self._state.wait_for(lambda: self._limit is None or self.sent < self._limit)
            self.sent += size

    def _received(self, size: int) -> None:
        with self._state:
            self.received += size


class FarEnd(ABC):
    """A server on this machine that shows `root`, and the relay in front of it."""

    kind: str
    root: Path
    port: int
    relay: Relay

    @abstractmethod
    def table(self, direct: bool = False, **changes: Any) -> dict[str, Any]:
        """The `[stores.NAME]` that uses the server, by way of the relay unless `direct`."""

    @abstractmethod
    def bad_login(self) -> dict[str, Any]:
        """Changes of the table with which the server lets nobody in."""

    @abstractmethod
    def start(self) -> None:
        """Start, on the same port as ever, and wait until the server listens."""

    @abstractmethod
    def kill(self) -> None:
        """End the server at once, as a power cut would."""

    @abstractmethod
    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the server."""

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """The server does nothing meanwhile, and keeps its connections."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def remove(self) -> None:
        """End everything."""
        self.relay.close()
        self.kill()

    def originals(self, directory: str = "") -> Path:
        """Where a collection's originals are."""
        return self.root / directory / "originals"

    def put(self, name: str, content: bytes, later: int = 0, directory: str = "") -> Path:
        """Have a file there that the daemon knows nothing of, in place of whatever there was; its time is `later`."""
        originals = self.originals(directory)
        originals.mkdir(parents=True, exist_ok=True)
        self.share()
        new = originals / ".new"
        new.write_bytes(content)
        if later:
            modified = new.stat().st_mtime + later
            os.utime(new, (modified, modified))
        return new.rename(originals / name)

    def share(self) -> None:
        """Let the server write into all directories, whoever made them."""
        for path in [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]:
            path.chmod(0o777)

    def unfinished(self) -> list[Path]:
        """The files that uploads have not moved to their names."""
        return [path for path in self.root.rglob("*") if path.is_file() and "/." in f"/{path.relative_to(self.root)}"]


class SFTP(FarEnd):
    """OpenSSH."""

    kind = "sftp"

    def __init__(self, directory: Path, forbidding: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._server = SSHD(directory / "sshd", "internal-sftp -P open" if forbidding else "internal-sftp")
        self._stranger = make_key(directory / "stranger")
        self.root = directory / "root"
        self.root.mkdir()
        self.port = self._server.port
        self.relay = Relay(self.port)

    def table(self, direct: bool = False, **changes: Any) -> dict[str, Any]:
        """See `FarEnd`."""
        table = {
            "plugin": "sftp",
            "host": "127.0.0.1",
            "port": self.port if direct else self.relay.port,
            "user": USER,
            "path": self.root,
            "identity_file": self._server.user_key,
            "fingerprint": self._server.fingerprint(),
        }
        return table | changes

    def bad_login(self) -> dict[str, Any]:
        """See `FarEnd`."""
        return {"identity_file": self._stranger}

    def start(self) -> None:
        """See `FarEnd`."""
        self._server.start()

    def kill(self) -> None:
        """See `FarEnd`."""
        self._server.stop()

    def signal(self, number: signal.Signals) -> None:
        """See `FarEnd`."""
        self._server.signal(number)


class WebDAV(FarEnd):
    """Apache, which wants a password."""

    kind = "webdav"

    def __init__(self, forbidding: bool = False) -> None:
        nothing = '<FilesMatch ".">\nRequire all denied\n</FilesMatch>'
        self._server = davservers.apache("Basic", extra=nothing if forbidding else "")
        self.root = self._server.root
        self.port = self._server.port
        self.relay = Relay(self.port)

    def table(self, direct: bool = False, **changes: Any) -> dict[str, Any]:
        """See `FarEnd`."""
        table = {
            "plugin": "webdav",
            "url": f"http://127.0.0.1:{self.port if direct else self.relay.port}/",
            "user": davservers.USER,
            "password": davservers.PASSWORD,
            "allow_http": True,
        }
        return table | changes

    def bad_login(self) -> dict[str, Any]:
        """See `FarEnd`."""
        return {"password": "some other secret"}

    def start(self) -> None:
        """See `FarEnd`."""
        self._server.start()

    def kill(self) -> None:
        """See `FarEnd`."""
        self._server.kill()

    def signal(self, number: signal.Signals) -> None:
        """See `FarEnd`."""
        self._server.signal(number)

    def remove(self) -> None:
        """See `FarEnd`."""
        super().remove()
        shutil.rmtree(self._server.home)


def make_far_end(kind: str, directory: Path, forbidding: bool = False) -> FarEnd:
    """A server that is not started yet; if `forbidding`, nobody has the permission to read or write files.

    Its files are in `directory`, or in a temporary one that it removes.
    """
    return SFTP(directory, forbidding) if kind == "sftp" else WebDAV(forbidding)


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """Mount a disk at `directory`; skips the test where that is not allowed, but fails where it must be."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(directory)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        lacking(f"cannot mount a small disk: {done.stderr}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def files_below(directory: Path) -> dict[str, int]:
    """The sizes of all files but those that say which daemons are there, by their relative paths."""
    found = {}
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.parent.name != ".daemons":
                found[str(path.relative_to(directory))] = path.stat().st_size
    return found


def what_arrives(connection: Connection) -> bytes:
    """What can be read until the connection ends, in whatever way."""
    pieces = []
    with suppress(ConnectionResetError):
        while piece := connection.read(4096):
            pieces.append(piece)
    return b"".join(pieces)
