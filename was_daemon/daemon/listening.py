"""Endpoints on which the daemon listens."""

from typing import Any

from twisted.application import strports
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.web.server import Site

from was_daemon.config.endpoints import tcp_address

_log = Logger()

_BACKLOG = 1024
"""Connections that wait to be accepted; the system may allow fewer."""


def is_local(description: str) -> bool:
    """Return whether only this machine reaches what listens on an endpoint; False where its string does not tell."""
    address = tcp_address(description)
    return address.is_local if address else description.startswith("unix:")


class CannotListen(SystemExit, Exception):
    """End of the daemon, with status 1, since a port cannot be opened.

    Quiet like SystemExit in the foreground, where the log is the terminal. An Exception, since twistd tells these to
    the process that waits for a daemon in the background to have started, which would wait forever otherwise.
    """

    def __init__(self, description: str, error: CannotListenError | OSError) -> None:
        super().__init__(1)
        reason = error.socketError if isinstance(error, CannotListenError) else error
        # twistd passes on 100 characters, the name of this class included.
        self._message = f"{getattr(reason, 'strerror', None) or reason}: {description}"
        _log.critical("Cannot listen on {description}: {error}", description=description, error=error)

    def __str__(self) -> str:
        return self._message


class EndpointService(Service):
    """Service that listens on one endpoint, or ends the daemon with a line that says why not.

    `opener` opens the port, by default the reactor.
    """

    def __init__(self, description: str, site: Site, opener: Any = None) -> None:
        from twisted.internet import reactor

        self._description = description
        try:
            self._port = strports.service(with_backlog(description), site, opener or reactor)
        except IndexError:
            # Whether there are systemd's sockets shows only in the service itself.
            raise SystemExit(
                f"systemd has handed over no socket for {description}: is the socket unit started? "
                "`systemd-socket-activate` needs --fdname"
            ) from None

    def privilegedStartService(self) -> None:
        """Listen, while there is still the privilege for a port below 1024."""
        try:
            self._port.privilegedStartService()
        except (CannotListenError, OSError) as error:
            # The lock file of a Unix socket is made outside of what Twisted reports as CannotListenError.
            raise CannotListen(self._description, error) from None

    def startService(self) -> None:
        """See `Service`."""
        super().startService()
        self._port.startService()

    def stopService(self) -> Deferred[None]:
        """Stop listening."""
        super().stopService()
        return maybeDeferred(self._port.stopService)


def with_backlog(description: str) -> str:
    """Add a listen backlog of 1024 unless one is given: a client that does not fit in retries only after a second."""
    kind = description.partition(":")[0]
    if kind not in ("tcp", "tcp6", "ssl", "unix") or ":backlog=" in description:
        return description
    return f"{description}:backlog={_BACKLOG}"
