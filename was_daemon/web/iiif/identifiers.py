"""Identifiers of pictures in addresses: collection, name, page, and a capability where reading needs one.

`[COLLECTION:]NAME[;PAGE][;EXPIRY.MAC]`, as one segment of the path, percent-encoded. Characters that separate, and
those that proxies change in a path, are written as `~` and two hexadecimal digits.
"""

import re
from urllib.parse import quote

import attrs

from was_daemon.model.errors import AssetNotFound
from was_daemon.model.keys import MAX_PAGE
from was_daemon.web.capabilities import Capability

_SEPARATING = re.compile(r"[~:;/\\%?#]")
_WRITTEN = re.compile(r"~([0-9A-Fa-f]{2})")
_PAGE = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@attrs.frozen
class Identifier:
    """The identifier of one page of an asset.

    `collection` and `name` are those that clients of `fileget` send; the first page is 1.
    """

    collection: str | None
    name: str
    page: int = 1
    capability: Capability | None = None

    def __str__(self) -> str:
        """The identifier as a segment of a path, percent-encoded."""
        asset = _write(self.name) if self.collection is None else f"{_write(self.collection)}:{_write(self.name)}"
        page = [str(self.page)] if self.page > 1 else []
        capability = [str(self.capability)] if self.capability else []
        return quote(";".join([asset, *page, *capability]), safe=":;~")


def parse_identifier(segment: str) -> Identifier:
    """Return the identifier in a decoded segment of a path; raises `AssetNotFound` for what is none."""
    asset, *rest = segment.split(";")
    collection, colon, name = asset.rpartition(":")
    page, capability = 1, None
    if rest and _PAGE.fullmatch(rest[0]):
        page = int(rest.pop(0))
    if rest:
        capability = Capability.parse(rest.pop(0))
    if rest or page > MAX_PAGE or ":" in collection:
        raise AssetNotFound("no such picture")
    return Identifier(_read(collection) if colon else None, _read(name), page, capability)


def _write(text: str) -> str:
    return _SEPARATING.sub(lambda match: f"~{ord(match[0]):02X}", text)


def _read(text: str) -> str:
    return _WRITTEN.sub(lambda match: chr(int(match[1], 16)), text)
