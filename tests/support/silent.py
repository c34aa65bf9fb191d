"""Servers on 127.0.0.1 that accept connections and say nothing, from the start or from some moment on."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


class Relay:
    """Relay to a server, which takes and answers nothing between `hold` and `let_go`.

    With a `pause`, answers pass byte for byte, one every so many seconds.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.pause = 0.0
        self._open = Event()
        self._open.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._server]
        self.port: int = self._server.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Say nothing more."""
        self._open.clear()

    def let_go(self) -> None:
        """Go on, as before any trouble."""
        self.pause = 0.0
        self._open.set()

    def close(self) -> None:
        """End all connections."""
        self.let_go()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._server.accept()[0]
                target = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += client, target
                for source, sink, is_answer in ((client, target, False), (target, client, True)):
                    Thread(target=self._relay, args=(source, sink, is_answer), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                if self.pause and is_answer:
                    for byte in data:
                        time.sleep(self.pause)
                        sink.sendall(bytes([byte]))
                else:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    """A relay to the server on a port."""
    found = Relay(port)
    try:
        yield found
    finally:
        found.close()
