"""The authorisation of requests for pictures: by the rules of `fileget`, with a capability in place of a token."""

import time
from urllib.parse import unquote_to_bytes

import attrs

from was_daemon.httpd.request import AssetRequest
from was_daemon.model.errors import AssetNotFound, Forbidden
from was_daemon.model.keys import AssetKey
from was_daemon.web.access import AccessRules
from was_daemon.web.capabilities import Purpose, grant_for, problem_of
from was_daemon.web.contract.parameters import query
from was_daemon.web.iiif.identifiers import Identifier, parse_identifier

_IMAGES = {"2": 2, "3": 3}
_MANIFESTS = ["presentation", "3"]


@attrs.frozen
class PictureRequest:
    """A request for a picture or a manifest: version of the API, identifier, and what follows it in the path.

    `is_private` is whether the client could show that it may look.
    """

    version: int
    identifier: Identifier
    rest: list[str]
    key: AssetKey
    is_private: bool = False
    needs_capability: bool = False
    """Whether the client came with a token, and gets an address with a capability instead."""


async def capability_to_look(access: AccessRules, request: AssetRequest) -> tuple[PictureRequest]:
    """Require a capability or a token for the picture at the request's path, where reading needs one."""
    try:
        version, identifier, rest = _parse(request.path)
    except AssetNotFound:
        if access.needs_token_by_default:
            raise Forbidden("the address is not signed with the server's key") from None
        raise
    collection, name = identifier.collection, identifier.name
    is_private, needs_capability = access.needs_token(collection, name), False
    if is_private:
        if identifier.capability:
            _require(access, identifier)
        else:
            access.require_token(collection, name, query(request).get("token"), request.arrived)
            needs_capability = access.needs_key(collection)
    key = access.original(collection, name)
    return (PictureRequest(version, identifier, rest, key, is_private, needs_capability),)


def with_capability(access: AccessRules, identifier: Identifier, lifetime: float) -> Identifier:
    """Return `identifier` with a capability that lasts for `lifetime` seconds or a little longer."""
    collection, name = identifier.collection, identifier.name
    key = access.keyring.keys_of(collection)[0]
    return attrs.evolve(identifier, capability=grant_for(key, collection, name, lifetime, Purpose.LOOK))


def _require(access: AccessRules, identifier: Identifier) -> None:
    """Raise `Forbidden` unless the capability of `identifier` is valid."""
    capability, collection = identifier.capability, identifier.collection
    assert capability  # noqa: S101 - the caller has looked
    keys = access.keyring.keys_of(collection)
    problems = [problem_of(capability, key, collection, identifier.name, time.time()) for key in keys]
    if keys and all(problems):
        raise Forbidden(problems[0] or "")


def _parse(path: bytes) -> tuple[int, Identifier, list[str]]:
    """Return version, identifier and further segments of a path below `/iiif/`; raises `AssetNotFound`."""
    # Split before they are decoded: an encoded slash is a part of its segment.
    try:
        segments = [unquote_to_bytes(segment).decode() for segment in path.lstrip(b"/").split(b"/")]
        if segments[1:3] == _MANIFESTS:
            version, (identifier, *rest) = 3, segments[3:]
        else:
            version, (identifier, *rest) = _IMAGES[segments[1]], segments[2:]
        return version, parse_identifier(identifier), rest
    except (IndexError, KeyError, ValueError):
        raise AssetNotFound("no such picture") from None
