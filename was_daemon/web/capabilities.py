"""Capabilities: signed permissions to look at one asset, or to read it, until a time.

A viewer fetches hundreds of addresses for hours, while a token of Specify's is valid for minutes. A capability is
signed with the same key, but with another function and for another purpose, so neither can stand for the other.
"""

import hashlib
import hmac
import re
import time
from base64 import urlsafe_b64encode
from enum import Enum

import attrs

from was_daemon.model.errors import AssetNotFound

_TEXT = re.compile(r"(?P<expiry>[0-9]{1,12})\.(?P<mac>[A-Za-z0-9_-]{22})", re.ASCII)
_MAC_SIZE = 16


class Purpose(Enum):
    """Purpose of a capability: its part of an identifier lets others look, in place of a token it lets them read."""

    LOOK = "was-daemon: look at an asset through IIIF"
    READ = "was-daemon: read an original and its metadata"


@attrs.frozen
class Capability:
    """A permission to use an asset until `expiry`, in Unix seconds; `mac` is its signature."""

    expiry: int
    mac: str = attrs.field(repr=False)

    def __str__(self) -> str:
        """The capability as a part of an address."""
        return f"{self.expiry}.{self.mac}"

    @classmethod
    def parse(cls, text: str) -> "Capability":
        """Return the capability in this text; raises `AssetNotFound` for what is none."""
        match = _TEXT.fullmatch(text)
        if not match:
            raise AssetNotFound("no such picture")
        return cls(int(match["expiry"]), match["mac"])


def is_capability(text: str) -> bool:
    """Return whether a text has the form of a capability, which no token has."""
    return _TEXT.fullmatch(text) is not None


def grant(key: str, collection: str | None, name: str, expiry: int, purpose: Purpose = Purpose.LOOK) -> Capability:
    """Return the capability for an asset until `expiry`, signed with its collection's key."""
    return Capability(expiry, _sign(key, collection, name, expiry, purpose))


def grant_for(key: str, collection: str | None, name: str, lifetime: float, purpose: Purpose) -> Capability:
    """Return a capability that lasts for `lifetime` seconds or a little longer."""
    # The same for some time, so that browsers find in their caches what they have fetched before.
    step = max(1, int(lifetime / 4))
    return grant(key, collection, name, (int(time.time() + lifetime) // step + 1) * step, purpose)


def problem_of(
    capability: Capability,
    key: str,
    collection: str | None,
    name: str,
    now: float,
    purpose: Purpose = Purpose.LOOK,
) -> str | None:
    """Return why a capability does not allow the use of an asset at the time `now`, None when it does."""
    if not hmac.compare_digest(capability.mac, _sign(key, collection, name, capability.expiry, purpose)):
        return "the address is not signed with the server's key"
    return "the address has expired" if now > capability.expiry else None


def _sign(key: str, collection: str | None, name: str, expiry: int, purpose: Purpose) -> str:
    # No name and no collection contains NUL.
    message = "\0".join([purpose.value, str(expiry), collection or "", name])
    mac = hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()[:_MAC_SIZE]
    return urlsafe_b64encode(mac).rstrip(b"=").decode()
