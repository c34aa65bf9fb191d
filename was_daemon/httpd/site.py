"""The factory of connections: the site that serves one resource on any number of ports."""

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.interfaces import IAddress
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource
from twisted.web.server import Site

from was_daemon.httpd.clients import Network
from was_daemon.httpd.connection import AssetChannel
from was_daemon.httpd.limits import ConnectionLimits
from was_daemon.httpd.request import AssetRequest
from was_daemon.httpd.site_state import SiteState
from was_daemon.httpd.traffic import Traffic


class AssetSite(Site):
    """The factory of connections; `proxies` may open any number of them."""

    protocol = AssetChannel  # type: ignore[assignment]  # Twisted wraps its own to offer HTTP/2
    requestFactory = AssetRequest
    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        resource: IResource,
        limits: ConnectionLimits,
        proxies: Sequence[Network] = (),
        traffic: Traffic | None = None,
    ) -> None:
        super().__init__(resource, timeout=limits.idle_timeout)
        self._state = SiteState(resource, limits, proxies, traffic or Traffic())
        self.open_connections = self._state.open_connections

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return an `AssetChannel` that shares the state of this site."""
        channel = cast(AssetChannel, super().buildProtocol(addr))
        channel.state = self._state
        return channel

    def reconfigure(self, resource: IResource, limits: ConnectionLimits, proxies: Sequence[Network]) -> None:
        """Have the next requests answered by `resource`, and hold the next connections to `limits`."""
        self.resource = resource
        self.timeOut = limits.idle_timeout
        self._state.reconfigure(resource, limits, proxies)

    def log(self, request: HttpRequest) -> None:
        """Do nothing: `Traffic` logs each request, and also those that Twisted does not log."""
