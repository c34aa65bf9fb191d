"""A TCP relay that delivers everything a while later, like a long line."""

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

PENDING = 16 << 20
"""Bytes on the line in each direction: more than anybody's windows, so that the relay limits nothing but time."""


class _End(Protocol):
    """One end; what it gets, `other` sends `delay` seconds later."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: _End | None = None
        self.waiting: list[bytes] = []
        self.on_the_line = 0

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def join(self, other: "_End") -> None:
        self.other = other
        for data in self.waiting:
            self.dataReceived(data)

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self.waiting.append(data)
            return
        self.on_the_line += len(data)
        if self.on_the_line > PENDING:
            self.transport.pauseProducing()
        reactor.callLater(self.delay, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self.on_the_line > PENDING >= self.on_the_line - len(data):
            self.transport.resumeProducing()
        self.on_the_line -= len(data)
        self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.other is not None:
            reactor.callLater(self.delay, self.other.transport.loseConnection)


def relay(target_port: int, delay: float) -> IListeningPort:
    """Listen on a free port of 127.0.0.1 and pass on to `target_port`; each direction takes `delay` seconds."""

    class Incoming(_End):
        def connectionMade(self) -> None:
            super().connectionMade()
            outgoing = _End(delay)

            def joined(_: Protocol) -> None:
                outgoing.join(self)
                self.join(outgoing)

            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", target_port)
            lose: Callable[[object], None] = lambda _: self.transport.loseConnection()  # noqa: E731
            endpoint.connect(Factory.forProtocol(lambda: outgoing)).addCallbacks(joined, lose)

    return reactor.listenTCP(0, Factory.forProtocol(lambda: Incoming(delay)), interface="127.0.0.1")


if __name__ == "__main__":
    import sys

    port = relay(int(sys.argv[1]), float(sys.argv[2]))
    print(port.getHost().port, flush=True)
    reactor.run()
