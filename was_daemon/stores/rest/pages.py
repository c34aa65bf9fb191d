"""Results of a server, one page after the other."""

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import attrs

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.rest.client import Reply, RestClient
from was_daemon.stores.rest.options import PAGING
from was_daemon.stores.rest.settings import LINK_HEADER, NO_MORE, RestSettings
from was_daemon.stores.rest.templates import Request, absolute
from was_daemon.stores.rest.values import MISSING, Pointer

_LINK = re.compile(r'\s*<([^<>]*)>((?:\s*;\s*[\w*]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"]*))?)*)\s*(?:,|$)')
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next(?=[\s;,]|$))', re.IGNORECASE)


@attrs.frozen
class _Place:
    """Place in the results, in all the ways in which servers count."""

    page: int
    offset: int = 0
    cursor: str = ""
    after: str = ""


class Pages:
    """Pages of the results of `search` and `list`, however the server divides them.

    With `{cursor}` the server tells a text for the next page; with `{page}`, `{offset}` or `{after}` pages are asked
    for until one is empty, or until the server says by `next` that it was the last; otherwise it tells an address.
    """

    def __init__(self, settings: RestSettings, client: RestClient) -> None:
        self._settings = settings
        self._client = client
        self._items = Pointer(settings.items)
        self._next = None if settings.next in (None, NO_MORE, LINK_HEADER) else Pointer(settings.next)

    async def pages(self, name: str, variables: Mapping[str, Any]) -> AsyncGenerator[list[Any], None]:
        """Yield the items of each page of the request `name`. Raises `StoreFailed` for results that are no list.

        Pages that come again are an error, too: those that should follow would be missing.
        """
        place, previous = _Place(self._settings.first_page), list[Any]()
        request: Request | None = self._client.prepare(name, {**variables, **attrs.asdict(place)})
        asked: set[Request] = set()
        while request:
            asked.add(request)
            reply = await self._client.search(request)
            if reply is None:
                return
            items = self._items_in(reply)
            if items and items == previous:
                raise StoreFailed("the store sends a page of results again", f"see {name} in the configuration")
            yield items
            request, place = self._following(name, variables, request, reply, items, place)
            if request in asked:
                raise StoreFailed("the store's pages of results go in a circle", f"see {name} in the configuration")
            previous = items

    def _items_in(self, reply: Reply) -> list[Any]:
        found = self._items.find(reply.document)
        if found is None:
            # What some programming languages write for an empty list.
            return []
        if not isinstance(found, list):
            raise StoreFailed("the store gave no proper answer", f'no list at "{self._items.text}" in its results')
        return found

    def _following(
        self, name: str, variables: Mapping[str, Any], request: Request, reply: Reply, items: list[Any], place: _Place
    ) -> tuple[Request | None, _Place]:
        """Return the request for the next page, None if there is none, and its place."""
        by = self._settings.requests[name].placeholders & PAGING
        if not by:
            address = self._next_address(reply)
            return attrs.evolve(request, url=absolute(request.url, address)) if address else None, place
        if (not items and "cursor" not in by) or (self._next and not self._told(reply)):
            return None, place
        place = _Place(
            page=place.page + 1,
            offset=place.offset + len(items),
            cursor=self._next.text_in(reply.document) if self._next and "cursor" in by else "",
            after=self._last(items) if "after" in by else "",
        )
        return self._client.prepare(name, {**variables, **attrs.asdict(place)}), place

    def _next_address(self, reply: Reply) -> str | None:
        if self._settings.next == LINK_HEADER:
            return next_link(reply.answer.header("Link") or "")
        return self._next.text_in(reply.document) if self._next and self._told(reply) else None

    def _told(self, reply: Reply) -> bool:
        """Return whether the server says that there is a next page."""
        found = self._next.find(reply.document) if self._next else MISSING
        return found is not MISSING and bool(found)

    def _last(self, items: list[Any]) -> str:
        pointer = self._settings.matching.name_pointer if self._settings.id is None else Pointer(self._settings.id)
        return pointer.text_in(items[-1])


def next_link(header: str) -> str | None:
    """Return the address of the next page in a header `Link` (RFC 8288); None when it has none."""
    position = 0
    while position < len(header) and (match := _LINK.match(header, position)):
        if _NEXT.search(match[2]):
            return match[1]
        position = match.end()
    return None
