"""An SSH server in this process, with asyncssh's SFTP server, which can be given the quirks of others."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import asyncssh

from tests.support.ports import free_port
from tests.support.sshd import make_key, public
from was_daemon.config.secret_files import SecretFile

PASSWORD = "secret"
USER = "scripted"


class Answer(asyncssh.SFTPError):
    """A status with any code, also one that SFTP 3 does not know."""

    def __init__(self, code: int) -> None:
        super().__init__(code, "no reason is given")

    def encode(self, version: int) -> bytes:
        return self.code.to_bytes(4, "big") + bytes(8)


class Files(asyncssh.SFTPServer):
    """The files below a directory; keeps count of those that are open."""

    home: ClassVar[Path]
    open_files: ClassVar[set[object]] = set()

    def __init__(self, chan: asyncssh.SSHServerChannel) -> None:
        super().__init__(chan, chroot=os.fsencode(self.home))

    def local(self, path: bytes) -> Path:
        """Where a path is on this machine's disk."""
        return Path(os.fsdecode(self.map_path(path)))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        file = super().open(path, pflags, attrs)
        self.open_files.add(file)
        return file

    def close(self, file_obj: object) -> object:
        self.open_files.discard(file_obj)
        return super().close(file_obj)


class Login(asyncssh.SSHServer):
    """Lets one user in, with a password."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class ScriptedSSH:
    """SSH server on a free port, in a thread of its own; `directory` gets its files, `home` is what it shows.

    `settings` are further arguments of `asyncssh.listen`.
    """

    def __init__(
        self,
        directory: Path,
        home: Path,
        files: type[Files] = Files,
        login: type[asyncssh.SSHServer] = Login,
        **settings: Any,
    ) -> None:
        directory.mkdir()
        self.host_key = make_key(directory / "host_key")
        self.user_key = SecretFile(make_key(directory / "user_key"))
        self.port = free_port()
        self.known_hosts = directory / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public(self.host_key)}\n")
        self.files = type("FilesAtHome", (files,), {"home": home, "open_files": set()})
        self._settings = {
            "server_factory": login,
            "server_host_keys": [str(self.host_key)],
            "authorized_client_keys": str(directory / "user_key.pub"),
            **settings,
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: asyncssh.SSHAcceptor | None = None
        self._connections: list[asyncssh.SSHServerConnection] = []

    def start(self) -> None:
        """Listen, in a new thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = self._run(self._listen)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            self.port,
            sftp_factory=self.files,
            acceptor=self._connections.append,
            login_timeout=20,
            **self._settings,
        )

    def stop(self) -> None:
        """End all connections at once, and the thread."""
        if self._loop is not None:
            self._run(self._end)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    async def _end(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for connection in self._connections:
            connection.abort()
            await connection.wait_closed()
        self._connections.clear()

    def _run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(20)
