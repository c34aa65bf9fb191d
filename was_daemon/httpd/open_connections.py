"""The open connections of a site, and their end when the daemon stops."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ITCPTransport
from twisted.web.http import HTTPChannel

from was_daemon.concurrency.waiting import Waiters


class OpenConnections:
    """The open connections of one site."""

    def __init__(self) -> None:
        self.draining = False
        self._open: set[HTTPChannel] = set()
        self._unused: set[HTTPChannel] = set()
        self._waiters = Waiters()

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, channel: HTTPChannel) -> None:
        """Note a new connection."""
        self._open.add(channel)
        self._unused.add(channel)

    def used(self, channel: HTTPChannel) -> None:
        """Note that a request has arrived on a connection."""
        self._unused.discard(channel)

    def closed(self, channel: HTTPChannel) -> None:
        """Note the end of a connection."""
        self._open.discard(channel)
        self._unused.discard(channel)
        if not self._open:
            self._waiters.release()

    def drain(self) -> None:
        """Close the connections that wait for another request; each of the others closes after its answer.

        A connection without any request yet is left open: a client that has just opened it is about to send one, and
        would take its end for a failure. `close_unused` closes these, too.
        """
        self.draining = True
        for channel in list(self._open):
            if channel.requests:
                channel.persistent = False
            elif channel not in self._unused:
                channel.loseConnection()

    def close_unused(self) -> None:
        """Close the connections on which no request has begun."""
        for channel in list(self._unused):
            if not channel.requests:
                channel.loseConnection()

    def abort(self) -> None:
        """Abort all connections."""
        for channel in list(self._open):
            ITCPTransport(channel.transport).abortConnection()

    def drained(self) -> Deferred[None]:
        """Fire when no connection is open."""
        return self._waiters.add() if self._open else succeed(None)
