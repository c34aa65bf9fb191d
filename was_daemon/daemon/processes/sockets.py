"""Listening sockets that are opened by one process and served by others.

Each process has sockets of its own, bound to the same ports with SO_REUSEPORT: the kernel distributes connections among
them. The parent keeps all of them open, so a client that waits in the socket of a process that has died is served by
its successor. Sockets are handed on as systemd does it, see sd_listen_fds(3).
"""

import socket
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.abstract import isIPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorSocket
from twisted.protocols.tls import TLSMemoryBIOFactory

from was_daemon.config.endpoints import DEFAULT_BACKLOG, tcp_address
from was_daemon.daemon.listening import with_backlog

FIRST_DESCRIPTOR = 3
"""Number of the first inherited descriptor, see sd_listen_fds(3)."""


def open_sockets(description: str, number: int) -> list[socket.socket]:
    """Open so many sockets for one TCP endpoint; raises CannotListenError."""
    asked = tcp_address(with_backlog(description))
    if asked is None:
        raise CannotListenError("", description, "several processes can share TCP ports only")
    opened: list[socket.socket] = []
    family = socket.AF_INET6 if isIPv6Address(asked.interface) else socket.AF_INET
    host = asked.interface or "0.0.0.0"  # noqa: S104  # what the endpoint says
    try:
        address = socket.getaddrinfo(host, asked.port, family, socket.SOCK_STREAM)[0][4]
        for _ in range(number):
            listening = socket.socket(family, socket.SOCK_STREAM)
            opened.append(listening)
            _bind(listening, address, is_first=len(opened) == 1)
            # The system may have chosen the port.
            address = opened[0].getsockname()
        for listening in opened:
            listening.listen(asked.backlog)
    except OSError as error:
        for listening in opened:
            listening.close()
        raise CannotListenError(asked.interface, asked.port, error) from None
    return opened


def _bind(listening: socket.socket, address: Any, is_first: bool) -> None:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not is_first:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(address)
    # Only now, so that a second daemon of the same user is refused the port, and does not get half of the clients.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


@attrs.define
class InheritedSockets:
    """Reactor for endpoints that listens on inherited sockets, one for each endpoint in turn."""

    descriptors: list[int]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "InheritedSockets":
        """Return the sockets that `LISTEN_FDNAMES` names.

        Twisted has removed `LISTEN_FDS` and `LISTEN_PID` when its endpoints were imported.
        """
        names = environ.get("LISTEN_FDNAMES", "")
        return cls(list(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + len(names.split(":"))) if names else []))

    def __getattr__(self, name: str) -> Any:
        from twisted.internet import reactor

        return getattr(reactor, name)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = DEFAULT_BACKLOG, interface: str = "", **_options: Any
    ) -> IListeningPort:
        """See `IReactorTCP`."""
        from twisted.internet import reactor

        if not self.descriptors:
            raise CannotListenError(interface, port, "no socket was handed over for it")
        with socket.socket(fileno=self.descriptors.pop(0)) as inherited:
            inherited.setblocking(False)
            # The socket may have been shut down while no process could serve it.
            inherited.listen(backlog)
            # The port duplicates the descriptor.
            return IReactorSocket(reactor).adoptStreamPort(inherited.fileno(), inherited.family, factory)

    def listenSSL(self, port: int, factory: IProtocolFactory, **options: Any) -> IListeningPort:
        """See `IReactorSSL`."""
        tls = TLSMemoryBIOFactory(options["contextFactory"], False, factory)
        return self.listenTCP(port, tls, options.get("backlog", DEFAULT_BACKLOG))
