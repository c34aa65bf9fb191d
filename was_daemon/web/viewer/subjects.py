"""The assets that a request asks the viewer to show, and whether the client may see them."""

from collections.abc import Mapping

import attrs

from was_daemon.httpd.request import AssetRequest
from was_daemon.model.errors import AssetError
from was_daemon.model.keys import AssetKey
from was_daemon.web.access import AccessRules
from was_daemon.web.capabilities import Capability, is_capability
from was_daemon.web.contract.parameters import filename, query

_SUFFIXES = ("", "2")
"""Suffixes of the fields `coll`, `filename` and `token`: the second asset is shown beside the first."""


@attrs.frozen
class Subject:
    """An asset to show; `key` is None where `problem` says why it may not be shown.

    `suffix` is that of its fields. `capability` is what the client has to read it, None where none is needed; with
    `is_unsigned` it came with a token, and gets a capability instead.
    """

    suffix: str
    collection: str | None
    name: str
    key: AssetKey | None = None
    problem: AssetError | None = None
    capability: Capability | None = None
    is_unsigned: bool = False


@attrs.frozen
class ViewRequest:
    """A request for the viewer's page: its fields, and one or two subjects."""

    fields: Mapping[str, str]
    subjects: list[Subject]


async def permission_to_view(access: AccessRules, request: AssetRequest) -> tuple[ViewRequest]:
    """Require for each asset what `fileget` requires, or a capability to read it.

    A refusal is a part of the page, which tells people what to do. Raises `BadRequest` for a malformed query.
    """
    fields = query(request)
    suffixes = [suffix for suffix in _SUFFIXES if not suffix or fields.get(f"filename{suffix}")]
    return (ViewRequest(fields, [_subject(access, fields, suffix, request.arrived) for suffix in suffixes]),)


def _subject(access: AccessRules, fields: Mapping[str, str], suffix: str, arrived: float) -> Subject:
    collection, token = fields.get(f"coll{suffix}"), fields.get(f"token{suffix}")
    name = fields.get(f"filename{suffix}", "")
    try:
        filename({"filename": name} if name else {})
        access.require_token_to_read(collection, name, token, arrived)
        key = access.original(collection, name)
    except AssetError as problem:
        return Subject(suffix, collection, name, problem=problem)
    if not (access.needs_token(collection, name) and access.needs_key(collection)):
        return Subject(suffix, collection, name, key)
    capability = Capability.parse(token) if token and is_capability(token) else None
    return Subject(suffix, collection, name, key, capability=capability, is_unsigned=not capability)
