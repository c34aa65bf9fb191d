"""The messages by which a daemon tells its parent, as it would systemd, that it serves or lives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorUNIXDatagram
from twisted.internet.protocol import DatagramProtocol

_LONGEST = 4096


class Notifications(DatagramProtocol):
    """A receiver of sd_notify(3) at a Unix socket; `received` is called with the assignments of each message."""

    noisy = False

    def __init__(self, path: Path, received: Callable[[dict[str, str]], None]) -> None:
        self._path = path
        self._received = received
        self._port: Any = None

    def start(self) -> None:
        """Listen."""
        from twisted.internet import reactor

        unix = IReactorUNIXDatagram(reactor)
        self._port = unix.listenUNIXDatagram(str(self._path), self, maxPacketSize=_LONGEST, mode=0o600)

    def stop(self) -> Deferred[Any]:
        """Listen no more."""
        return maybeDeferred(self._port.stopListening).addBoth(lambda _: self._path.unlink())

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """See `DatagramProtocol`."""
        lines = datagram.decode("utf-8", "replace").splitlines()
        self._received(dict(line.split("=", 1) for line in lines if "=" in line))
