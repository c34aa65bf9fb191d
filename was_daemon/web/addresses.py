"""The address of this server, and those of its clients, as a request tells them."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import attrs

from was_daemon.httpd.clients import client_of, host_of, is_from_proxy
from was_daemon.httpd.request import AssetRequest
from was_daemon.httpd.target import is_authority
from was_daemon.library.redirects import Recipient
from was_daemon.model.errors import BadRequest

_SCHEMES = {
    **dict.fromkeys(("https", "wss", "ssl", "on"), "https"),
    **dict.fromkeys(("http", "ws", "off"), "http"),
}
"""The schemes that proxies mean in X-Forwarded-Proto: some tell that of a web socket, some whether TLS is on."""

_MAX_QUOTED = 40
"""Characters of a header's value that an error quotes."""


@attrs.frozen
class Addresses:
    """The rules by which addresses are found: `public_url` is the server's, `trusted_proxies` tell those of clients."""

    public_url: str | None
    trusted_proxies: Sequence[IPv4Network | IPv6Network]

    @property
    def depends_on_requests(self) -> bool:
        """Whether `base_url` has the host that the client names."""
        return not self.public_url

    def base_url(self, request: AssetRequest) -> str:
        """Return the address that clients use for this server, without a slash at its end; raises `BadRequest`."""
        if self.public_url:
            return self.public_url
        said, host = "https" if request.isSecure() else "http", request.authority or _own_address(request)
        if is_from_proxy(request, self.trusted_proxies):
            said = _first(request, b"X-Forwarded-Proto") or said
            host = _first(request, b"X-Forwarded-Host") or host
        scheme = _SCHEMES.get(said.lower())
        if not scheme:
            raise BadRequest(f"X-Forwarded-Proto is {_quoted(said)}, which is neither http nor https")
        if not is_authority(host):
            raise BadRequest(f"X-Forwarded-Host is {_quoted(host)}, which is not a host")
        return f"{scheme}://{host}"

    def client(self, request: AssetRequest) -> str:
        """Return the address of the client, told by a trusted proxy if the request came through one."""
        return client_of(request, self.trusted_proxies)

    def recipient(self, request: AssetRequest, download_name: str | None) -> Recipient:
        """Return the client of a download, and whether it may be answered with something other than the bytes."""
        return Recipient(
            self.client(request),
            # A store's URL may be signed for GET alone.
            can_be_redirected=request.method == b"GET",
            is_behind_nginx=request.getHeader("X-Accel-Redirect") == "on"
            and is_from_proxy(request, self.trusted_proxies),
            download_name=download_name,
        )


def _own_address(request: AssetRequest) -> str:
    """Return the address that the request was sent to, for a client that names no host."""
    address = request.getHost()
    host = host_of(address)
    if host is None:
        return "localhost"
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def _first(request: AssetRequest, header: bytes) -> str | None:
    """Return the first value of a list, without the quotes in which some proxies send it; None without one."""
    # Each of several proxies may add a line, which is the same as a comma (RFC 9110, section 5.2).
    lines = request.requestHeaders.getRawHeaders(header, [])
    # Empty elements do not count (RFC 9110, section 5.6.1).
    values = (value.strip().strip('"').strip() for value in b",".join(lines).decode("utf-8", "replace").split(","))
    return next(filter(None, values), None)


def _quoted(value: str) -> str:
    return f'"{ascii(value[:_MAX_QUOTED])[1:-1]}"'
