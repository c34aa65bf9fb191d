"""Capabilities: signed permissions to look at one asset until a time, as a part of its identifier.

A viewer fetches hundreds of addresses for hours, while a token of Specify's is valid for minutes. A capability is
signed with the same key, but with another function and for another purpose, so neither can stand for the other.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

import attrs

from was_daemon.model.errors import AssetNotFound

_TEXT = re.compile(r"(?P<expiry>[0-9]{1,12})\.(?P<mac>[A-Za-z0-9_-]{22})", re.ASCII)
_PURPOSE = "was-daemon: look at an asset through IIIF"
_MAC_SIZE = 16


@attrs.frozen
class Capability:
    """The permission to look at an asset until `expiry`, in Unix seconds; `mac` is its signature."""

    expiry: int
    mac: str = attrs.field(repr=False)

    def __str__(self) -> str:
        """The capability as a part of an identifier."""
        return f"{self.expiry}.{self.mac}"

    @classmethod
    def parse(cls, text: str) -> "Capability":
        """Return the capability in this text; raises `AssetNotFound` for what is none."""
        match = _TEXT.fullmatch(text)
        if not match:
            raise AssetNotFound("no such picture")
        return cls(int(match["expiry"]), match["mac"])


def grant(key: str, collection: str | None, name: str, expiry: int) -> Capability:
    """Return the capability for an asset until `expiry`, signed with its collection's key."""
    return Capability(expiry, _sign(key, collection, name, expiry))


def problem_of(capability: Capability, key: str, collection: str | None, name: str, now: float) -> str | None:
    """Return why a capability does not allow to look at an asset at the time `now`, None when it does."""
    if not hmac.compare_digest(capability.mac, _sign(key, collection, name, capability.expiry)):
        return "the address is not signed with the server's key"
    return "the address has expired" if now > capability.expiry else None


def _sign(key: str, collection: str | None, name: str, expiry: int) -> str:
    # No name and no collection contains NUL.
    message = "\0".join([_PURPOSE, str(expiry), collection or "", name])
    mac = hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()[:_MAC_SIZE]
    return urlsafe_b64encode(mac).rstrip(b"=").decode()
