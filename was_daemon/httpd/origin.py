"""Where a request comes from."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from was_daemon.httpd.limits import is_proxy
from was_daemon.httpd.protocol import AssetRequest

Network = IPv4Network | IPv6Network


def client_of(request: AssetRequest, proxies: Sequence[Network]) -> str:
    """Whoever sent the request: an address, the one a trusted proxy tells if it came through one."""
    forwarded = request.getHeader("X-Forwarded-For")
    if forwarded and is_from_proxy(request, proxies):
        return forwarded.rpartition(",")[2].strip()
    return getattr(request.getClientAddress(), "host", "local")


def is_from_proxy(request: AssetRequest, proxies: Sequence[Network]) -> bool:
    """Whether the request came through a trusted proxy."""
    return is_proxy(request.getClientAddress(), proxies)
