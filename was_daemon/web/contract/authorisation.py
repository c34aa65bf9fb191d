"""The authorisation of each route: a decorator that checks the request before its handler is called.

Each authorisation checks the token and returns the arguments of the handler, such as the original's key. All of them
raise `BadRequest`, and `BadName`, `Forbidden`, `UnknownCollection` or `AssetNotFound` where they apply.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Protocol, TypeAlias, TypeVarTuple

from was_daemon.httpd.request import AssetRequest
from was_daemon.model.errors import AssetNotFound, BadRequest, Forbidden
from was_daemon.model.keys import AssetKey, ThumbnailAddress
from was_daemon.web.access import AccessRules
from was_daemon.web.contract.forms import read_form
from was_daemon.web.contract.parameters import filename, query, static_asset

NOT_STATIC = "there are no private files below /static/: ask fileget, with a token"

Ts = TypeVarTuple("Ts")
Fields: TypeAlias = Mapping[str, str]
Authorisation: TypeAlias = Callable[[AccessRules, AssetRequest], Awaitable[tuple[*Ts]]]


class Guarded(Protocol):
    """A class whose methods are authorised routes."""

    access: AccessRules


def authorised(
    check: Authorisation[*Ts],
) -> Callable[[Callable[[Any, AssetRequest, *Ts], Awaitable[bytes]]], Callable[..., Awaitable[bytes]]]:
    """Decorate the handler of a route: it is called with the values of `check`, unless that raises."""

    def decorate(handler: Callable[[Any, AssetRequest, *Ts], Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
        @wraps(handler)
        async def route(server: Guarded, request: AssetRequest, **_path_segments: str) -> bytes:
            return await handler(server, request, *await check(server.access, request))

        route.authorisation = check  # type: ignore[attr-defined]  # for tests, which go through all routes
        return route

    return decorate


async def public(_access: AccessRules, _request: AssetRequest) -> tuple[()]:
    """Allow every request."""
    return ()


async def token_for_random(access: AccessRules, request: AssetRequest) -> tuple[()]:
    """Require a token for the value of the field `random`, signed with any key of the server's."""
    fields = query(request)
    if "random" not in fields:
        raise BadRequest("the field random is missing")
    # Specify 7 tests its key when it starts, and names no collection.
    access.require_token_of_any_key(fields["random"], fields.get("token"), request.arrived)
    return ()


async def token_to_read(access: AccessRules, request: AssetRequest) -> tuple[AssetKey, Fields]:
    """Require a token for the file in the query where reading needs one; return its key and the query's fields."""
    fields = query(request)
    name, collection = filename(fields), fields.get("coll")
    access.require_token_to_read(collection, name, fields.get("token"), request.arrived)
    return access.original(collection, name), fields


async def token_to_delete(access: AccessRules, request: AssetRequest) -> tuple[AssetKey]:
    """Require a token for the file in a form; return its key."""
    fields = await read_form(request)
    name, collection = filename(fields), fields.get("coll")
    access.require_token(collection, name, fields.get("token"), request.arrived)
    return (access.original(collection, name),)


async def token_in_upload(_access: AccessRules, _request: AssetRequest) -> tuple[()]:
    """Leave the check to `UploadForm`: Specify 7 sends the token after the file (contract, section 1)."""
    return ()


async def static_original(access: AccessRules, request: AssetRequest) -> tuple[AssetKey, Fields]:
    """Require static access, and a token for what is private; return the key of the original in the query, and its
    fields."""
    _require_static_access(access)
    fields = query(request)
    name, collection = filename(fields), fields.get("coll")
    if access.visibility:
        access.require_token_to_read(collection, name, fields.get("token"), request.arrived)
    return access.original(collection, name), fields


async def static_path(access: AccessRules, request: AssetRequest) -> tuple[AssetKey | ThumbnailAddress]:
    """Require static access, and that an original is not private; return it, or the thumbnail, at the request's path.

    Whose a thumbnail is, only the store knows: the handler asks `AccessRules.is_static`.
    """
    _require_static_access(access)
    asset = static_asset(request.path)
    if isinstance(asset, AssetKey) and not access.is_static(asset):
        raise Forbidden(NOT_STATIC)
    return (asset,)


def _require_static_access(access: AccessRules) -> None:
    if not access.static_access:
        raise AssetNotFound("static access is off")
