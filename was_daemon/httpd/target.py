"""The target and the host of a request (RFC 9112, section 3.2): pure functions."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address

_NAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?"
_AUTHORITY = re.compile(rf"(?:{_NAME}|\[(?P<address>[0-9A-Fa-f:.]{{2,45}})\])(?::(?P<port>[0-9]{{0,5}}))?")
_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#]*)(?P<rest>(?:[/?].*)?)", re.IGNORECASE | re.DOTALL)
_LAST_PORT = 65535


class BadTarget(ValueError):
    """A request without a target or host that can be read, or with two hosts."""


def is_authority(text: str) -> bool:
    """Return whether `text` is a host with or without a port, as in a Host header and in a URL without a login.

    RFC 3986 allows more characters in a name. No name in DNS or in a hosts file has them, and an accepted host is
    repeated in answers.
    """
    match = _AUTHORITY.fullmatch(text)
    if not match or int(match["port"] or 0) > _LAST_PORT:
        return False
    try:
        return match["address"] is None or bool(IPv6Address(match["address"]))
    except ValueError:
        return False


def resolve(method: bytes, target: bytes, hosts: Sequence[bytes], version: bytes) -> tuple[str, bytes]:
    """Return the host that a request is for, empty when it names none, and its path; raises `BadTarget`.

    `target` is from the request line, `hosts` are the values of all Host headers.
    """
    if len(hosts) > 1 or (not hosts and version == b"HTTP/1.1"):
        raise BadTarget("the request needs one Host header")
    host = hosts[0].decode("latin-1") if hosts else ""
    # Health checks of load balancers leave it empty, as section 3.2 has it for targets without a host.
    if host and not is_authority(host):
        raise BadTarget("the Host header is malformed")
    if target.startswith(b"/"):
        return host, target.partition(b"?")[0]
    if target == b"*" and method == b"OPTIONS":
        return host, target
    absolute = _ABSOLUTE.fullmatch(target)
    if not absolute or not is_authority(absolute["authority"].decode("latin-1")):
        raise BadTarget("the request's target is malformed")
    # The form that proxies use. Its host is the one that counts (section 3.2.2), whatever the header says.
    return absolute["authority"].decode("latin-1"), absolute["rest"].partition(b"?")[0] or b"/"
