"""The section `[discovery]`: endpoints that other servers provide, such as a DAM that understands Specify's tokens."""

import re
from urllib.parse import urlsplit

import attrs

from was_daemon.config.validators import FieldValidator, optional

_ADDRESS = re.compile(
    r"https?://(?:[\w.~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?P<path>/[\w.~%!$'()*+,;=:@/-]*)?", re.ASCII
)
"""An address in ASCII: clients put it into others as it is, and Specify 6 replaces names in angle brackets."""


def _problem(url: str) -> str | None:
    """Return what is wrong with the address of an endpoint; an address with a login is not quoted."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error).lower()
    if "@" in parts.netloc:
        return "has a login, which the discovery document would tell everybody"
    if "?" in url or "#" in url:
        return "has a query or a fragment: Specify's clients add a query of their own"
    found = _ADDRESS.fullmatch(url)
    if not found or port == 0:
        return f'expected an address such as "https://dam.example.org/fileget", got "{url}"'
    if found["path"] in (None, "/"):
        return "is the address of a server: that of its endpoint is needed, with a path"
    return None


_endpoint = optional(FieldValidator(_problem))


@attrs.frozen
class DiscoverySettings:
    """Section `[discovery]`: the addresses of endpoints that are not the daemon's, by their types in the document."""

    read: str | None = attrs.field(default=None, validator=_endpoint)
    write: str | None = attrs.field(default=None, validator=_endpoint)
    delete: str | None = attrs.field(default=None, validator=_endpoint)
    getmetadata: str | None = attrs.field(default=None, validator=_endpoint)
    testkey: str | None = attrs.field(default=None, validator=_endpoint)

    def elsewhere(self) -> dict[str, str]:
        """Return the addresses that are set, by type."""
        return {kind: url for kind, url in attrs.asdict(self).items() if url is not None}
