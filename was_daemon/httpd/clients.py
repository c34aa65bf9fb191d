"""The addresses of clients, and the proxies between them and this server."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

from twisted.internet.interfaces import IAddress
from twisted.web.http import Request

Network: TypeAlias = IPv4Network | IPv6Network


def host_of(address: IAddress) -> str | None:
    """Return the IP address in `address`, without the scope of an IPv6 address; None for a Unix socket."""
    host: str | None = getattr(address, "host", None)
    return host.partition("%")[0] if host else None


def is_proxy(address: IAddress, proxies: Sequence[Network]) -> bool:
    """Return whether `address` is that of a trusted proxy."""
    host = host_of(address)
    if host is None:
        # A Unix socket: its file's permissions say who may connect.
        return True
    return any(ip_address(host) in network for network in proxies)


def is_from_proxy(request: Request, proxies: Sequence[Network]) -> bool:
    """Return whether a request came through a trusted proxy."""
    return is_proxy(request.getClientAddress(), proxies)


def client_of(request: Request, proxies: Sequence[Network]) -> str:
    """Return the address of the client, told by a trusted proxy if the request came through one."""
    forwarded = request.getHeader("X-Forwarded-For")
    if forwarded and is_from_proxy(request, proxies):
        return forwarded.rpartition(",")[2].strip()
    return getattr(request.getClientAddress(), "host", "local")
