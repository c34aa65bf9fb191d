"""Endpoint strings of Twisted, such as "tcp:8080:interface=127.0.0.1": the TCP address that one names."""

import re
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ServerFactory

_TLS = re.compile("(haproxy:)?ssl:")
_FILES = re.compile(r":(privateKey|certKey|extraCertChain|dhParameters)=((?:\\.|[^:\\])+)")
_ESCAPED = re.compile(r"\\(.)")

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


def tls_files(description: str) -> dict[str, Path]:
    """Return the files that an endpoint with TLS reads, by its arguments; relative paths start where the daemon does.

    The certificate is in the key's file where no other is named, and the key in `server.pem`, as Twisted has it.
    """
    if not _TLS.match(description):
        return {}
    given = {argument: Path(_ESCAPED.sub(r"\1", path)) for argument, path in _FILES.findall(description)}
    key = given.get("privateKey", Path("server.pem"))
    return {"privateKey": key, "certKey": given.get("certKey", key)} | given


class _Recorder:
    """Reactor that opens no port, and records which one an endpoint asks for."""

    address: TCPAddress | None = None

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = DEFAULT_BACKLOG, interface: str = "", **_: Any
    ) -> None:
        """See `IReactorTCP`."""
        self.address = TCPAddress(port, interface, backlog)

    listenSSL = listenTCP
