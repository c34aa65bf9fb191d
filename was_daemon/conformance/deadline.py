"""A deadline for a whole answer, for urllib: a socket's timeout begins anew with every byte that a server sends."""

import io
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, cast
from urllib.request import HTTPHandler, HTTPSHandler, Request


class TooSlow(TimeoutError):
    """An answer that was not complete at its deadline."""


class _DeadlineFile(io.RawIOBase):
    """Reader of a socket that raises `TooSlow` after `deadline` by the monotonic clock."""

    def __init__(self, file: io.RawIOBase, deadline: float) -> None:
        super().__init__()
        self._file = file
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TooSlow("it takes too long")
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _DeadlineSocket:
    """Connected socket, as http.client uses it, whose answer is read within `seconds`."""

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self._socket = connected
        self._deadline = time.monotonic() + seconds
        self.sendall = connected.sendall
        self.close = connected.close

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineFile(self._socket.makefile("rb", buffering=0), self._deadline))


class DeadlineHandler(HTTPHandler, HTTPSHandler):
    """Handler for HTTP and HTTPS that allows each connection `seconds` in all."""

    def __init__(self, seconds: float, context: ssl.SSLContext) -> None:
        HTTPHandler.__init__(self)
        HTTPSHandler.__init__(self, context=context)
        self._seconds = seconds
        self._tls = context

    def http_open(self, request: Request) -> HTTPResponse:
        """See `HTTPHandler`."""
        return self.do_open(self._connection_with_deadline(HTTPConnection), request)

    def https_open(self, request: Request) -> HTTPResponse:
        """See `HTTPSHandler`."""
        return self.do_open(self._connection_with_deadline(HTTPSConnection), request, context=self._tls)

    def _connection_with_deadline(self, kind: type[HTTPConnection]) -> Any:
        def connection(*args: Any, **options: Any) -> HTTPConnection:
            new = kind(*args, **options)
            connect = new.connect

            def connect_with_deadline() -> None:
                connect()
                new.sock = cast(socket.socket, _DeadlineSocket(new.sock, self._seconds))

            new.connect = connect_with_deadline  # type: ignore[method-assign]  # urllib wants no class
            return new

        return connection
