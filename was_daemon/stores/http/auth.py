"""Authentication at an HTTP server: bytes in headers, no I/O.

A login sends no header at first. When the server asks for authentication, it uses the strongest scheme that both know,
until the server asks for another.
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
"""The Digest algorithms of RFC 7616, strongest first. No server uses SHA-512-256."""


_SESSION = "-SESS"


class Login(Protocol):
    """Authentication of requests to one server."""

    @property
    def is_lasting(self) -> bool:
        """Whether a server that accepted a header will accept it again."""

    def authorise(self, method: str, target: str) -> str | None:
        """Return the `Authorization` header of a request; None for no header.

        `target` is the path with the query, as they are sent.
        """

    def challenged(self, challenges: Iterable[str], sent: str | None) -> bool:
        """Note the `WWW-Authenticate` headers in the answer to `sent`; return whether another attempt makes sense."""


@attrs.frozen
class FixedLogin:
    """Login with the same header every time, such as a bearer token (RFC 6750), or without one."""

    header: str | None = attrs.field(repr=False)
    is_lasting = True

    def authorise(self, method: str, target: str) -> str | None:
        """See `Login`."""
        return self.header

    def challenged(self, challenges: Iterable[str], sent: str | None) -> bool:
        """See `Login`. A token that was refused stays refused."""
        return False


class PasswordLogin:
    """Login with Digest (RFC 7616) where the server offers it, otherwise with Basic (RFC 7617)."""

    def __init__(self, user: str, password: str, unasked: bool = False) -> None:
        """Make a login; with `unasked` Basic is tried with a server that refuses a request and names no scheme.

        That is for connections by https, as nobody has promised that the server keeps a password for itself.
        """
        self._user = user
        self._password = password
        self._unasked = unasked
        self._basic = False
        self._digest: Digest | None = None

    @property
    def is_lasting(self) -> bool:
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
        """See `Login`. A nonce grows too old, or is forgotten by a restarted server: the next one may be accepted."""
        offers = parse_challenges(challenges)
        if not offers and self._unasked:
            offers = [("basic", {})]
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
    """Nonce of a server, and the number of its uses."""

    algorithm: str
    realm: str
    nonce: str
    opaque: str | None
    is_counted: bool
    """Whether the server wants uses counted (`qop`)."""
    is_session: bool
    """Whether the first client nonce is part of the secret (`-sess`)."""
    _told_algorithm: str | None
    _session_nonce: str = attrs.field(factory=lambda: secrets.token_hex(16), repr=False)
    _uses: int = 0

    @classmethod
    def offered(cls, offer: dict[str, str]) -> "Digest | None":
        """Return the nonce of a challenge with these parameters; None when it asks for an unknown algorithm."""
        told = offer.get("algorithm")
        algorithm = (told or "MD5").upper().removesuffix(_SESSION)
        qualities = [quality.strip().lower() for quality in offer.get("qop", "").split(",") if quality.strip()]
        if algorithm not in _HASHES or "nonce" not in offer or (qualities and "auth" not in qualities):
            return None
        return cls(
            algorithm=algorithm,
            realm=offer.get("realm", ""),
            nonce=offer["nonce"],
            opaque=offer.get("opaque"),
            is_counted=bool(qualities),
            is_session=(told or "").upper().endswith(_SESSION),
            told_algorithm=told,
        )

    def header(self, user: str, password: str, method: str, target: str) -> str:
        """Return the `Authorization` header of one request (RFC 7616, section 3.4); each call counts as a use."""
        self._uses += 1
        count = f"{self._uses:08x}"
        client_nonce = self._session_nonce if self.is_session else secrets.token_hex(16)
        between = f"{count}:{client_nonce}:auth:" if self.is_counted else ""
        secret = self._hash(f"{user}:{self.realm}:{password}")
        if self.is_session:
            secret = self._hash(f"{secret}:{self.nonce}:{client_nonce}")
        response = self._hash(f"{secret}:{self.nonce}:{between}{self._hash(f'{method}:{target}')}")
        quoted = {"username": user, "realm": self.realm, "nonce": self.nonce, "uri": target, "response": response}
        if self.opaque is not None:
            quoted["opaque"] = self.opaque
        fields = [f'{name}="{_escaped(value)}"' for name, value in quoted.items()]
        if self._told_algorithm:
            fields.append(f"algorithm={self._told_algorithm}")
        if self.is_counted:
            fields += ["qop=auth", f"nc={count}"]
        if self.is_counted or self.is_session:
            fields.append(f'cnonce="{client_nonce}"')
        return "Digest " + ", ".join(fields)

    def _hash(self, text: str) -> str:
        return _HASHES[self.algorithm](text.encode()).hexdigest()


def parse_challenges(headers: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the schemes, in lower case, and parameters of `WWW-Authenticate` headers; one may hold several schemes."""
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
