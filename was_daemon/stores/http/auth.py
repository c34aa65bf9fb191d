"""How a store proves to an HTTP server who it is: bytes in headers, no I/O.

A login starts out silent. It takes part in the scheme the server asks for, the strongest one it knows, and keeps to
it until the server asks for another.
"""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.request import parse_http_list

import attrs

_HASHES: dict[str, Callable[[bytes], "hashlib._Hash"]] = {
    "SHA-256": hashlib.sha256,
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
}
"""The Digest algorithms of RFC 7616, strongest first. SHA-512-256 is in no server's hands."""


class Login(Protocol):
    """What an HTTP client asks before and after a request."""

    @property
    def lasting(self) -> bool:
        """Whether what a server accepted once it will accept again."""

    def authorise(self, method: str, target: str) -> str | None:
        """The `Authorization` header of a request for `target`, the path as it is sent; None for no header."""

    def challenged(self, challenges: Iterable[str], sent: str | None) -> bool:
        """Take in the `WWW-Authenticate` headers that answered `sent`; True when another try makes sense."""


@attrs.frozen
class FixedLogin:
    """The same header every time: a bearer token (RFC 6750), or None for nobody."""

    header: str | None = attrs.field(repr=False)
    lasting = True

    def authorise(self, method: str, target: str) -> str | None:
        """See `Login`."""
        return self.header

    def challenged(self, challenges: Iterable[str], sent: str | None) -> bool:
        """See `Login`; a token that was refused once stays refused."""
        return False


class PasswordLogin:
    """Digest (RFC 7616) where the server offers it, otherwise Basic (RFC 7617)."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._basic = False
        self._digest: Digest | None = None

    @property
    def lasting(self) -> bool:
        """See `Login`. A nonce does not last."""
        return self._digest is None

    def authorise(self, method: str, target: str) -> str | None:
        """See `Login`."""
        if self._digest:
            return self._digest.header(self._user, self._password, method, target)
        if self._basic:
            return "Basic " + b64encode(f"{self._user}:{self._password}".encode()).decode()
        return None

    def challenged(self, challenges: Iterable[str], sent: str | None) -> bool:
        """See `Login`. A nonce grows old, or is forgotten by a server that was restarted: a new one is a new chance."""
        offers = parse_challenges(challenges)
        digests = [digest for scheme, offer in offers if scheme == "digest" and (digest := Digest.offered(offer))]
        if digests:
            order = list(_HASHES)
            self._digest = min(digests, key=lambda digest: order.index(digest.algorithm))
            return sent is None or f'nonce="{self._digest.nonce}"' not in sent
        self._digest = None
        self._basic = any(scheme == "basic" for scheme, _offer in offers)
        return self._basic and not (sent or "").startswith("Basic ")


@attrs.define
class Digest:
    """One nonce of a server, and how often it was used."""

    algorithm: str
    realm: str
    nonce: str
    opaque: str | None
    counted: bool
    _named: bool
    _uses: int = 0

    @classmethod
    def offered(cls, offer: dict[str, str]) -> "Digest | None":
        """The challenge's parameters, or None when it asks for something we cannot do."""
        algorithm = offer.get("algorithm", "MD5").upper()
        qualities = [quality.strip().lower() for quality in offer.get("qop", "").split(",") if quality.strip()]
        if algorithm not in _HASHES or "nonce" not in offer or (qualities and "auth" not in qualities):
            return None
        return cls(
            algorithm=algorithm,
            realm=offer.get("realm", ""),
            nonce=offer["nonce"],
            opaque=offer.get("opaque"),
            counted=bool(qualities),
            named="algorithm" in offer,
        )

    def header(self, user: str, password: str, method: str, target: str) -> str:
        """The `Authorization` header of one request (RFC 7616, section 3.4); each call counts as a use."""
        self._uses += 1
        count, client_nonce = f"{self._uses:08x}", secrets.token_hex(16)
        between = f"{count}:{client_nonce}:auth:" if self.counted else ""
        secret = self._hash(f"{user}:{self.realm}:{password}")
        response = self._hash(f"{secret}:{self.nonce}:{between}{self._hash(f'{method}:{target}')}")
        quoted = {"username": user, "realm": self.realm, "nonce": self.nonce, "uri": target, "response": response}
        if self.opaque is not None:
            quoted["opaque"] = self.opaque
        fields = [f'{name}="{_escaped(value)}"' for name, value in quoted.items()]
        if self._named:
            fields.append(f"algorithm={self.algorithm}")
        if self.counted:
            fields += ["qop=auth", f"nc={count}", f'cnonce="{client_nonce}"']
        return "Digest " + ", ".join(fields)

    def _hash(self, text: str) -> str:
        return _HASHES[self.algorithm](text.encode()).hexdigest()


def parse_challenges(headers: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """The schemes, in lower case, and parameters of `WWW-Authenticate` headers, of which one may hold several."""
    offers: list[tuple[str, dict[str, str]]] = []
    for item in (item for header in headers for item in parse_http_list(header)):
        word, _space, rest = item.partition(" ")
        if "=" not in word:
            offers.append((word.lower(), {}))
            item = rest.strip()
        name, equals, value = item.partition("=")
        if equals and offers:
            value = value.strip()
            offers[-1][1][name.strip().lower()] = value[1:-1] if value.startswith('"') else value
    return offers


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
