"""Listening on a socket on which the other processes of the daemon listen, too.

The kernel wakes all of them for a connection, and whoever is first has it. So each takes one at a time, and lets
others go first while it has more than they: else one process would take a whole crowd, and work alone.
"""

import errno
import re
import socket
from collections.abc import Callable
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorFDSet,
    IReactorSocket,
    IReactorTime,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface import implementer

from was_daemon.daemon.siblings.board import Board

_COURTESY_SECONDS = 0.005
"""For how long a process that has fewer connections may take the one that waits."""

_RECOVERY_SECONDS = 0.5
"""How long to wait when a connection cannot be taken because there are too many files open."""

_log = Logger()


@implementer(IReadDescriptor)
class Accepting:
    """Takes connections from a listening socket that stays its owner's."""

    def __init__(self, listening: socket.socket, factory: Any, board: Board) -> None:
        from twisted.internet import reactor

        self._reactor: Any = reactor
        self._socket = listening
        self._factory = factory
        self._board = board
        self._pause: IDelayedCall | None = None
        self._was_courteous = False

    def start(self) -> None:
        """Take connections from now on."""
        IReactorFDSet(self._reactor).addReader(self)

    def stop(self) -> None:
        """Take no more."""
        IReactorFDSet(self._reactor).removeReader(self)
        if self._pause and self._pause.active():
            self._pause.cancel()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "Accepting"

    def doRead(self) -> None:
        """Somebody wants to connect."""
        if not self._was_courteous and self._board.is_another_less_busy():
            self._was_courteous = True
            self._wait(_COURTESY_SECONDS)
            return
        self._was_courteous = False
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            # Another process was faster, or the client has gone.
            return
        except OSError as error:
            if error.errno != errno.EINVAL:
                _log.error("A connection could not be taken: {error}", error=error)
            self._wait(_RECOVERY_SECONDS)
            return
        with connection:
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            IReactorSocket(self._reactor).adoptStreamConnection(connection.fileno(), connection.family, self._factory)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def _wait(self, seconds: float) -> None:
        IReactorFDSet(self._reactor).removeReader(self)
        self._pause = IReactorTime(self._reactor).callLater(seconds, self.start)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is shut down: the daemon stops."""


@implementer(IListeningPort)
class SharedPort:
    """A port; `own` is what opened it, if that was this process."""

    def __init__(self, listening: socket.socket, factory: IProtocolFactory, board: Board, own: Any = None) -> None:
        self.socket = listening
        self._factory = factory
        self._own = own
        self._accepting = Accepting(listening, factory, board)

    def startListening(self) -> None:
        """See `IListeningPort`."""
        if not self._own:
            self._factory.doStart()
        self._accepting.start()

    def stopListening(self) -> Deferred[None]:
        """See `IListeningPort`."""
        self._accepting.stop()
        self.socket.close()
        if self._own:
            stopped: Deferred[None] = self._own.stopListening()
            return stopped
        self._factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        """See `IListeningPort`."""
        host: IAddress = self._own.getHost()
        return host


@implementer(IStreamServerEndpoint)
class Sharing:
    """An endpoint whose port others are to listen on, too; `opened` is told its socket."""

    def __init__(self, endpoint: Any, board: Board, opened: Callable[[socket.socket], None]) -> None:
        self._endpoint = endpoint
        self._board = board
        self._opened = opened

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint`."""
        listening: Deferred[IListeningPort] = self._endpoint.listen(factory)
        return listening.addCallback(self._share)

    def _share(self, port: Any) -> IListeningPort:
        # Its own way to accept knows no others.
        port.stopReading()
        listening = socket.fromfd(port.fileno(), port.addressFamily, socket.SOCK_STREAM)
        shared = SharedPort(listening, port.factory, self._board, port)
        self._opened(shared.socket)
        shared.startListening()
        return shared


@implementer(IStreamServerEndpoint)
class Adopted:
    """The endpoint of that description, whose socket another process has opened."""

    def __init__(self, description: str, fd: int, board: Board) -> None:
        # systemd's sockets are handed to one process, and known by their numbers there.
        self._description = re.sub("systemd:.*", "tcp:0", description)
        self._opener = _Opener(fd, board)

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint`."""
        listening: Deferred[IListeningPort] = serverFromString(self._opener, self._description).listen(factory)
        return listening


class _Opener:
    """The reactor for an endpoint, but for opening ports: there is one already."""

    def __init__(self, fd: int, board: Board) -> None:
        self._fd = fd
        self._board = board

    def __getattr__(self, name: str) -> Any:
        from twisted.internet import reactor

        return getattr(reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, *_args: Any, **_options: Any) -> IListeningPort:
        """See `IReactorTCP`."""
        shared = SharedPort(socket.socket(fileno=self._fd), factory, self._board)
        shared.startListening()
        return shared

    listenUNIX = listenTCP

    def listenSSL(self, port: int, factory: IProtocolFactory, **options: Any) -> IListeningPort:
        """See `IReactorSSL`."""
        return self.listenTCP(port, TLSMemoryBIOFactory(options["contextFactory"], False, factory))


def adopting(description: str, fd: int, board: Board, site: Site) -> Service:
    """A service that listens on the socket `fd`, which another process has opened for `description`."""
    return StreamServerEndpointService(Adopted(description, fd, board), site)
