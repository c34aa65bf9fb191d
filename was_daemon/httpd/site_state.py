"""The state that the connections and requests of one site share."""

from collections.abc import Sequence

from twisted.web.resource import IResource

from was_daemon.httpd.address_counts import AddressCounts
from was_daemon.httpd.clients import Network
from was_daemon.httpd.limits import ConnectionLimits
from was_daemon.httpd.open_connections import OpenConnections
from was_daemon.httpd.traffic import Traffic


class SiteState:
    """The resource that answers, the limits, the trusted proxies, and the counts of one site.

    `proxies` may open any number of connections.
    """

    def __init__(
        self, resource: IResource, limits: ConnectionLimits, proxies: Sequence[Network], traffic: Traffic
    ) -> None:
        self.traffic = traffic
        self.open_connections = OpenConnections()
        self.reconfigure(resource, limits, proxies)

    def reconfigure(self, resource: IResource, limits: ConnectionLimits, proxies: Sequence[Network]) -> None:
        """Have the next requests answered by `resource`, and hold the next connections to `limits`."""
        self.resource = resource
        self.limits = limits
        self.proxies = proxies
        # Connections that are open stay counted where they were.
        self.address_counts = AddressCounts(limits.per_address, proxies)
