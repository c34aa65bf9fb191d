"""Answers with a description in JSON-LD, `info.json` or a manifest, and redirects to one."""

import json
import re
import time
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import attrs

from was_daemon import __version__
from was_daemon.httpd.ranges import is_unchanged
from was_daemon.httpd.request import AssetRequest
from was_daemon.web.addresses import Addresses
from was_daemon.web.answers import text_answer
from was_daemon.web.caching import NO_STORE, CacheRules

_JSON_LD = "application/ld+json"

_REFUSED = re.compile(r"q=0(\.0*)?")
"""Parameter of a media range that the client does not accept (RFC 9110, section 12.4.2)."""


@attrs.frozen
class Documents:
    """The answers under one configuration; `caching` is for those that do not depend on the request's host."""

    addresses: Addresses
    caching: CacheRules

    def is_known(self, request: AssetRequest, is_private: bool, *version: object) -> bool:
        """Return whether the client has the document of this version; the headers of either answer are set."""
        etag = sha256(repr((__version__, _asked_for_linked_data(request), *version)).encode()).hexdigest()[:32]
        request.setHeader("ETag", f'"{etag}"')
        request.setHeader("Vary", "Accept")
        request.setHeader("Cache-Control", self.caching.cache_control(is_private))
        if self.addresses.depends_on_requests:
            request.setHeader("Cache-Control", NO_STORE)
            request.setHeader("Vary", "Accept, Host, X-Forwarded-Host, X-Forwarded-Proto")
        # A date would be that of the original, while the document also depends on the configuration.
        unchanged = is_unchanged(request.getHeader("If-None-Match"), None, etag, 0, time.time())
        if unchanged:
            request.setResponseCode(304)
        return unchanged


def document_answer(request: AssetRequest, content: dict[str, Any], is_linked_data: bool) -> bytes:
    """Return the body of an answer, with its type: what the client accepts, else JSON-LD if `is_linked_data`.

    The type names the context, or a header links it.
    """
    context = content["@context"]
    asked = _asked_for_linked_data(request)
    kind = f'{_JSON_LD};profile="{context}"'
    if not (is_linked_data if asked is None else asked):
        kind = "application/json"
        request.setHeader("Link", f'<{context}>;rel="http://www.w3.org/ns/json-ld#context";type="{_JSON_LD}"')
    return text_answer(request, json.dumps(content, ensure_ascii=False, separators=(",", ":")), kind)


def _asked_for_linked_data(request: AssetRequest) -> bool | None:
    """Return whether the client accepts JSON-LD, or else JSON, as browsers show it; None if it names neither."""
    ranges = [each.replace(" ", "").split(";") for each in (request.getHeader("Accept") or "").lower().split(",")]
    accepted = {kind for kind, *parameters in ranges if not any(_REFUSED.fullmatch(each) for each in parameters)}
    if _JSON_LD in accepted:
        return True
    return False if accepted & {"application/json", "text/html"} else None


def redirect_to(request: AssetRequest, address: str, rest: list[str]) -> bytes:
    """Send the client to what follows an address in further segments, which are not encoded yet."""
    request.setResponseCode(303)
    request.setHeader("Location", "/".join([address, *map(quote, rest)]))
    request.setHeader("Cache-Control", NO_STORE)
    return text_answer(request, "elsewhere")
