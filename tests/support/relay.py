"""A relay in the process of the tests, by which a server seems to stop and to start again."""

from twisted.internet import reactor
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.portforward import ProxyFactory


class Relay(WrappingFactory):
    """Passes connections on to the port `target`, until it stops: to a store that is as if its server had stopped."""

    noisy = False

    def __init__(self, target: int) -> None:
        super().__init__(ProxyFactory("127.0.0.1", target))
        self.port = 0

    def start(self) -> None:
        """Listen, on the same port as ever."""
        self._listening = reactor.listenTCP(self.port, self, interface="127.0.0.1")
        self.port = self._listening.getHost().port

    async def stop(self) -> None:
        """End all connections, and listen no more."""
        await self._listening.stopListening()
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()
