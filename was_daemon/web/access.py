"""Who may do what, and under which address the server is known."""

import time
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import attrs

from was_daemon.httpd.limits import host_of
from was_daemon.httpd.origin import client_of, is_from_proxy
from was_daemon.httpd.protocol import AssetRequest
from was_daemon.httpd.target import is_authority
from was_daemon.library.collections import Collections
from was_daemon.library.redirects import Recipient
from was_daemon.model import tokens
from was_daemon.model.errors import BadRequest, Forbidden
from was_daemon.model.keys import AssetKey
from was_daemon.web.keyring import Keyring

_DECIDING = frozenset({"store", "token"})


@attrs.frozen
class Access:
    """The rules of this server."""

    collections: Collections
    keyring: Keyring
    token_window: int
    require_token_for_get: bool
    public_url: str | None
    trusted_proxies: Sequence[IPv4Network | IPv6Network]

    @property
    def deciding_fields(self) -> frozenset[str]:
        """The fields of an upload that tell together whether it is allowed."""
        return _DECIDING if self.keyring.is_one else _DECIDING | {"coll"}

    def require_token(self, collection: str | None, filename: str, token: str | None) -> None:
        """Raise `Forbidden` unless `token` allows `filename` of a collection, known or not."""
        self._require(self.keyring.of(collection), filename, token)

    def require_some_token(self, filename: str, token: str | None) -> None:
        """Raise `Forbidden` unless `token` allows `filename`, whatever its collection is."""
        self._require(self.keyring.all(), filename, token)

    def _require(self, keys: Sequence[str], filename: str, token: str | None) -> None:
        if not keys:
            return
        if not token:
            raise Forbidden("the token is missing")
        now = int(time.time())
        # Every key is tried, so that the time tells nothing of them.
        problems = [tokens.verify(key, filename, token, now, self.token_window) for key in keys]
        if all(problems):
            raise Forbidden(next((each for each in problems if each and each != tokens.MISMATCH), tokens.MISMATCH))

    def require_token_to_read(self, collection: str | None, filename: str, token: str | None) -> None:
        """Raise `Forbidden` unless `filename` may be read with `token`."""
        if self.require_token_for_get:
            self.require_token(collection, filename, token)

    def original(self, collection: str | None, name: str) -> AssetKey:
        """The key of an original; raises `BadName` or `UnknownCollection`."""
        return self.collections.original(collection, name)

    @property
    def is_told_by_requests(self) -> bool:
        """Whether `base_url` is whatever host the client names."""
        return not self.public_url

    def base_url(self, request: AssetRequest) -> str:
        """The address clients use for this server, without a slash at its end; raises `BadRequest`."""
        if self.public_url:
            return self.public_url
        scheme, host = "https" if request.isSecure() else "http", request.authority or _own_address(request)
        if is_from_proxy(request, self.trusted_proxies):
            scheme = _first(request.getHeader("X-Forwarded-Proto")) or scheme
            host = _first(request.getHeader("X-Forwarded-Host")) or host
        if scheme not in ("http", "https") or not is_authority(host):
            raise BadRequest("the request came by a malformed address")
        return f"{scheme}://{host}"

    def recipient(self, request: AssetRequest, download_name: str | None) -> Recipient:
        """Return the client of a download, with what its answer may be instead of the bytes."""
        return Recipient(
            self.client(request),
            # A store's address may be signed for GET alone.
            can_be_redirected=request.method == b"GET",
            is_behind_nginx=request.getHeader("X-Accel-Redirect") == "on"
            and is_from_proxy(request, self.trusted_proxies),
            download_name=download_name,
        )

    def client(self, request: AssetRequest) -> str:
        """Whoever sent the request: an address, the one a trusted proxy tells if it came through one."""
        return client_of(request, self.trusted_proxies)


def _own_address(request: AssetRequest) -> str:
    """The address that the request was sent to, for a client that names no host."""
    address = request.getHost()
    host = host_of(address)
    if host is None:
        return "localhost"
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def _first(header: str | None) -> str | None:
    return header.partition(",")[0].strip() if header else None
