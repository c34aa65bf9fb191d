"""Counts of the open connections of each client address."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from twisted.internet.interfaces import IAddress

from was_daemon.httpd.clients import Network, host_of, is_proxy

_SITE_PREFIX = 64
"""Bits of an IPv6 address that are the same for all addresses of one host."""


class AddressCounts:
    """Counts of open connections by address, of which each may have `most`, 0 for any number.

    `proxies` may have any number.
    """

    def __init__(self, most: int, proxies: Sequence[Network] = ()) -> None:
        self._most = most
        self._proxies = proxies
        self._open: Counter[str] = Counter()

    def opened(self, address: IAddress) -> int:
        """Count a new connection; return by how many its address now exceeds the limit."""
        counted = self._counted_as(address)
        if counted is None:
            return 0
        self._open[counted] += 1
        return max(0, self._open[counted] - self._most)

    def closed(self, address: IAddress) -> None:
        """Stop counting a connection that was counted by `opened`."""
        counted = self._counted_as(address)
        if counted is None:
            return
        self._open[counted] -= 1
        if not self._open[counted]:
            del self._open[counted]

    def _counted_as(self, address: IAddress) -> str | None:
        """Return the address or network that a connection is counted for; None when it has no limit."""
        if not self._most or is_proxy(address, self._proxies):
            return None
        host = ip_address(host_of(address) or "")
        return str(host if host.version == 4 else ip_network((host, _SITE_PREFIX), strict=False))
