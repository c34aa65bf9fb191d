"""What one client may take up of the daemon's patience and connections."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import attrs
from twisted.internet.interfaces import IAddress

_SITE_PREFIX = 64
"""Bits of an IPv6 address that are the same for all addresses of one host."""


@attrs.frozen
class ConnectionLimits:
    """Times are in seconds, rates in bytes per second; `per_address` 0 is no limit."""

    per_address: int
    header_timeout: float
    idle_timeout: float
    min_rate: int

    def seconds_for(self, size: int) -> float:
        """How long a client may take to send or fetch `size` bytes."""
        return self.idle_timeout + size / self.min_rate


class Connections:
    """How many connections each address has. Proxies may have any number."""

    def __init__(self, most: int, proxies: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._most = most
        self._proxies = proxies
        self._open: Counter[str] = Counter()

    def opened(self, address: IAddress) -> int:
        """Note a new connection; returns how many there are too many."""
        origin = self._origin(address)
        if origin is None:
            return 0
        self._open[origin] += 1
        return max(0, self._open[origin] - self._most)

    def closed(self, address: IAddress) -> None:
        """Note the end of a connection that was noted."""
        origin = self._origin(address)
        if origin is None:
            return
        self._open[origin] -= 1
        if not self._open[origin]:
            del self._open[origin]

    def _origin(self, address: IAddress) -> str | None:
        """Who is counted; None for whom there is no limit."""
        if not self._most or is_proxy(address, self._proxies):
            return None
        host = ip_address(host_of(address) or "")
        return str(host if host.version == 4 else ip_network((host, _SITE_PREFIX), strict=False))


def host_of(address: IAddress) -> str | None:
    """The IP address in `address`; None for a Unix socket."""
    host: str | None = getattr(address, "host", None)
    return host.partition("%")[0] if host else None


def is_proxy(address: IAddress, proxies: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether `address` is that of a trusted proxy."""
    host = host_of(address)
    if host is None:
        # A Unix socket: its file's permissions say who may connect.
        return True
    return any(ip_address(host) in network for network in proxies)
