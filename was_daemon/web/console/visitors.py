"""What is known of a client of the console from its connection and the headers of its request."""

import socket
import struct
from collections.abc import Collection, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.web.http import Request

from was_daemon.httpd.clients import Network, client_of, is_from_proxy

FORWARDED = b"X-Was-Visitor"
"""Header in which the parent of several processes tells them what it knows of a client."""

_CREDENTIALS = struct.Struct("3i")
"""The process, user and group at the other end of a Unix socket, see SO_PEERCRED in unix(7)."""


@attrs.frozen
class ConsoleRules:
    """The settings that say who may use the console; `session` is in seconds.

    `free_users` are the IDs of users who need no password on a Unix socket; the parent of several processes is one, and
    tells whom it speaks for.
    """

    public_url: str | None = None
    trusted_proxies: Sequence[Network] = ()
    session: float = 12 * 3600.0
    free_users: Collection[int] = ()


@attrs.frozen
class Visitor:
    """A client: its address, whether it came by https, and whether it needs a password."""

    address: str
    is_secure: bool
    needs_password: bool

    def header(self) -> bytes:
        """Return the value of `FORWARDED`."""
        return f"{int(self.is_secure)} {int(self.needs_password)} {self.address}".encode("latin-1", "replace")


def visitor_of(request: Request, rules: ConsoleRules) -> Visitor:
    """Return what is known of the client that has sent a request."""
    is_free = _peer_user(request) in rules.free_users
    told = request.getHeader(FORWARDED)
    if told and is_free:
        return _from_header(told)
    is_secure = (
        request.isSecure() or (rules.public_url or "").startswith("https:") or _is_https_at_proxy(request, rules)
    )
    return Visitor(client_of(request, rules.trusted_proxies), is_secure, not (is_free and _is_direct(request)))


def _is_https_at_proxy(request: Request, rules: ConsoleRules) -> bool:
    said = (request.getHeader(b"X-Forwarded-Proto") or b"").strip().lower()
    return said == b"https" and is_from_proxy(request, rules.trusted_proxies)


def _from_header(told: bytes) -> Visitor:
    secure, needs, address = [*told.decode("latin-1").split(" ", 2), "", ""][:3]
    return Visitor(address, secure == "1", needs != "0")


def _is_direct(request: Request) -> bool:
    """Return whether a process at the other end of a Unix socket speaks for itself.

    A proxy names whom it speaks for. A browser may be led into a tunnel by a name that another site has pointed to this
    machine: then the host is not this machine's.
    """
    return not request.requestHeaders.hasHeader(b"X-Forwarded-For") and _is_local(_host(request))


def _peer_user(request: Request) -> int | None:
    """Return the ID of the user at the other end of a Unix socket, None for another connection."""
    transport = getattr(request.channel, "transport", None)
    connection: Any = getattr(transport, "socket", None)
    if getattr(connection, "family", None) != socket.AF_UNIX:
        return None
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(found)
    return int(user)


def _is_local(host: str) -> bool:
    """Return whether a host is this machine by its name or by an address, which no site can point elsewhere."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def _host(request: Request) -> str:
    return (request.getHeader(b"Host") or b"").decode("latin-1")


def is_same_origin(request: Request, rules: ConsoleRules) -> bool:
    """Return whether a form was sent by a page of this server, as far as the browser says where it came from."""
    origin = (request.getHeader(b"Origin") or b"").decode("latin-1")
    if not origin:
        return (request.getHeader(b"Sec-Fetch-Site") or b"same-origin") == b"same-origin"
    # A proxy may have put another host into its place. No other site can have a browser send these headers.
    hosts = {_host(request), (request.getHeader(b"X-Forwarded-Host") or b"").decode("latin-1")}
    own = {host for host in (*hosts, urlsplit(rules.public_url or "").netloc) if host}
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host.lower() in {each.lower() for each in own}


def cookie_name(request: Request, visitor: Visitor) -> bytes:
    """Return the name of the session's cookie, which differs by port: browsers keep one jar for all ports of a host."""
    port = _host(request).rpartition(":")[2]
    name = f"was_console_{port}" if port.isascii() and port.isdigit() else "was_console"
    return f"__Host-{name}".encode() if visitor.is_secure else name.encode()
