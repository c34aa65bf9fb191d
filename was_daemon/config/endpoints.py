"""Endpoint strings of Twisted, such as "tcp:8080:interface=127.0.0.1": the TCP address that one names."""

from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import attrs
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ServerFactory

DEFAULT_BACKLOG = 50
"""Twisted's default backlog."""


@attrs.frozen
class TCPAddress:
    """The address that an endpoint listens on; an empty `interface` stands for all of this machine."""

    port: int
    interface: str
    backlog: int = DEFAULT_BACKLOG

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the address."""
        try:
            return self.interface == "localhost" or ip_address(self.interface).is_loopback
        except ValueError:
            return False


def tcp_address(description: str) -> TCPAddress | None:
    """Return the address of an endpoint that Twisted understands; None for one of another kind than TCP."""
    recorder = _Recorder()
    # Endpoints of other kinds ask the reactor for something else, or systemd for a socket that is not there.
    with suppress(Exception):
        serverFromString(recorder, description).listen(ServerFactory())
    return recorder.address


class _Recorder:
    """Reactor that opens no port, and records which one an endpoint asks for."""

    address: TCPAddress | None = None

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = DEFAULT_BACKLOG, interface: str = "", **_: Any
    ) -> None:
        """See `IReactorTCP`."""
        self.address = TCPAddress(port, interface, backlog)

    listenSSL = listenTCP
