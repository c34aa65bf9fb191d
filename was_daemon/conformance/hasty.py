"""Connections for urllib that do not wait for ever, however little a server sends at a time.

A timeout of a socket begins anew with every byte.
"""

import io
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, cast
from urllib.request import HTTPHandler, HTTPSHandler, Request


class _HastyFile(io.RawIOBase):
    """What a socket receives, until `deadline` by the monotonic clock."""

    def __init__(self, file: io.RawIOBase, deadline: float) -> None:
        super().__init__()
        self._file = file
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TimeoutError("it takes too long")
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _HastySocket:
    """A connected socket as http.client uses it."""

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self._socket = connected
        self._deadline = time.monotonic() + seconds
        self.sendall = connected.sendall
        self.close = connected.close

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_HastyFile(self._socket.makefile("rb", buffering=0), self._deadline))


class HastyHandler(HTTPHandler, HTTPSHandler):
    """Has each connection, of HTTP or HTTPS, end after so many seconds."""

    def __init__(self, seconds: float, context: ssl.SSLContext) -> None:
        HTTPHandler.__init__(self)
        HTTPSHandler.__init__(self, context=context)
        self._seconds = seconds
        self._tls = context

    def http_open(self, request: Request) -> HTTPResponse:
        """See `HTTPHandler`."""
        return self.do_open(self._hasty(HTTPConnection), request)

    def https_open(self, request: Request) -> HTTPResponse:
        """See `HTTPSHandler`."""
        return self.do_open(self._hasty(HTTPSConnection), request, context=self._tls)

    def _hasty(self, kind: type[HTTPConnection]) -> Any:
        def connection(*args: Any, **options: Any) -> HTTPConnection:
            made = kind(*args, **options)
            connect = made.connect

            def connect_hastily() -> None:
                connect()
                made.sock = cast(socket.socket, _HastySocket(made.sock, self._seconds))

            made.connect = connect_hastily  # type: ignore[method-assign]  # urllib wants no class
            return made

        return connection
