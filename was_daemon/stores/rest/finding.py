"""Assets as a server describes them: found by name, with their size, version and time."""

import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import attrs

from was_daemon.model.errors import AssetNotFound, StoreFailed
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.http.answer import http_time
from was_daemon.stores.http.reader import version
from was_daemon.stores.rest.client import RestClient
from was_daemon.stores.rest.matching import asset_variables, folder_variables
from was_daemon.stores.rest.pages import Pages
from was_daemon.stores.rest.settings import RestSettings
from was_daemon.stores.rest.templates import Request
from was_daemon.stores.rest.values import MISSING, Condition, Pointer

_MOST_RESULTS = 10_000
"""Results that are looked through for one name. More mean that the server does not search by it."""

_PLAIN_TAG = re.compile(r"[\w.:~+/=-]{1,100}", re.ASCII)


@attrs.frozen
class Found:
    """One asset of the server; `document` describes it, and is `MISSING` where addresses are made of names alone."""

    key: AssetKey
    id: str = ""
    document: Any = attrs.field(default=MISSING, repr=False)

    @property
    def variables(self) -> dict[str, Any]:
        """The variables for requests about it."""
        return asset_variables(self.key) | {"id": self.id}


class Finder:
    """Search for assets, and for what the server says of them."""

    def __init__(self, settings: RestSettings, client: RestClient) -> None:
        self._settings = settings
        self._client = client
        self._pages = Pages(settings, client)
        self._id, self._size = _pointer(settings.id), _pointer(settings.size)
        self._version, self._modified = _pointer(settings.version), _pointer(settings.modified)
        self._ready = [Condition.parse(text) for text in settings.ready]

    async def find(self, key: AssetKey) -> Found:
        """Fire with the asset, the newest one if the server has several of that name. Raises `AssetNotFound`."""
        found = await self.find_all(key)
        if not found:
            raise AssetNotFound("no such asset")
        if len(found) > 1 and self._settings.duplicates == "refuse":
            raise StoreFailed(
                "the store has several assets of this name", f"ids {', '.join(each.id for each in found)}"
            )
        return found[-1]

    async def find_all(self, key: AssetKey) -> list[Found]:
        """Fire with all assets of that name, the newest last."""
        if self._settings.search is None:
            candidates = [Found(key)]
        else:
            candidates = await self._search(key)
        described = [await self._describe(each) for each in candidates]
        ready = [each for each in described if each and self._is_ready(each)]
        return sorted(ready, key=self._age) if len(ready) > 1 else ready

    async def _search(self, key: AssetKey) -> list[Found]:
        found: dict[str, Found] = {}
        looked_at = 0
        async with aclosing(self._pages.pages("search", asset_variables(key))) as pages:
            async for items in pages:
                looked_at += len(items)
                if looked_at > _MOST_RESULTS:
                    raise StoreFailed("the store finds too much", "search finds over 10000 assets for one name")
                for item in items:
                    if self._settings.matching.key_of(item, key.collection, key.kind) == key:
                        each = Found(key, self._id.text_in(item) if self._id else "", item)
                        found[each.id] = each
        return list(found.values())

    async def _describe(self, found: Found) -> Found | None:
        """Fire with the asset as `info` describes it, if that is configured; with None if it is gone."""
        if self._settings.info is None:
            return found
        try:
            reply = await self._client.ask(self._client.prepare("info", found.variables))
        except AssetNotFound:
            # A search may show what has been deleted for some time.
            return None
        if reply.document is MISSING:
            raise StoreFailed("the store gave no proper answer", "the answer to info is no JSON")
        own_id = self._id.text_in(reply.document) if self._id and not found.id else found.id
        document = reply.document
        if isinstance(document, dict) and isinstance(found.document, dict):
            document = found.document | document
        return attrs.evolve(found, id=own_id, document=document)

    def _is_ready(self, found: Found) -> bool:
        return all(condition.holds(200, found.document) for condition in self._ready)

    def _age(self, found: Found) -> tuple[float, int, str]:
        """Return what sorts assets of one name by age. Most servers count their ids up."""
        is_told = self._modified is not None and self._modified.find(found.document) is not MISSING
        modified = self._modified.time_in(found.document) if self._modified and is_told else 0.0
        return modified, int(found.id) if re.fullmatch("[0-9]{1,18}", found.id) else -1, found.id

    # -- what is known of an asset -------------------------------------------------------------------------------------

    async def stat(self, found: Found) -> AssetStat:
        """Fire with size, version and time of an asset. Raises `AssetNotFound` when it is gone by now."""
        if self._size is None:
            return await self._stat_by_head(found)
        size = self._size.size_in(found.document)
        modified = self._modified.time_in(found.document) if self._modified else 0.0
        parts = [found.id] if self._settings.search is not None else []
        if self._version:
            parts.append(self._version.text_in(found.document))
        return AssetStat(size, modified, _tag(".".join(parts)))

    async def _stat_by_head(self, found: Found) -> AssetStat:
        request = self.get_request(found)
        answer = (await self._client.ask(attrs.evolve(request, method="HEAD"))).answer
        length = answer.header("Content-Length") or ""
        if not re.fullmatch("[0-9]{1,18}", length):
            raise StoreFailed("the store does not tell the sizes of its files", "HEAD of get has no Content-Length")
        modified = http_time(answer.header("Last-Modified"))
        if self._modified and found.document is not MISSING:
            modified = self._modified.time_in(found.document)
        stat = version(int(length), answer.header("ETag") or found.id, modified)
        return attrs.evolve(stat, etag=_tag(f"{found.id}.{stat.etag}")) if found.id else stat

    def get_request(self, found: Found) -> Request:
        """Return the request for the bytes of an asset."""
        return self._client.prepare("get", found.variables, found.document)

    # -- listings ------------------------------------------------------------------------------------------------------

    async def listed(self, collection: str, kind: Kind, prefix: str) -> AsyncGenerator[tuple[AssetKey, Any], None]:
        """Yield the key of each asset of a collection whose name starts with `prefix`, and the item that has it.

        Several assets of one name are one, unless they are far from each other in the listing.
        """
        variables = folder_variables(collection, kind) | {"prefix": prefix}
        seen: set[AssetKey] = set()
        async with aclosing(self._pages.pages("list", variables)) as pages:
            async for items in pages:
                found = self._newest_of(items, collection, kind, prefix)
                for each in found.values():
                    if each.key not in seen:
                        yield each.key, each.document
                seen = set(found)

    def _newest_of(self, items: list[Any], collection: str, kind: Kind, prefix: str) -> dict[AssetKey, Found]:
        """Return the assets in a page of results, for each name the newest."""
        newest: dict[AssetKey, Found] = {}
        for item in items:
            key = self._settings.matching.key_of(item, collection, kind)
            if key is None or not key.name.startswith(prefix):
                continue
            has_id = self._id is not None and self._id.find(item) is not MISSING
            each = Found(key, self._id.text_in(item) if self._id and has_id else "", item)
            if self._is_ready(each) and (key not in newest or self._age(newest[key]) < self._age(each)):
                newest[key] = each
        return newest

    async def check_list(self, key: AssetKey) -> None:
        """Get the first page of the list of names that start with that of `key`."""
        variables = folder_variables(key.collection, key.kind) | {"prefix": key.name}
        async with aclosing(self._pages.pages("list", variables)) as pages:
            await anext(pages, None)

    def listed_size(self, item: Any) -> int:
        """Return the size in an item of a listing. Raises `StoreFailed` when it has none."""
        return self._size.size_in(item) if self._size else 0


def _pointer(text: str | None) -> Pointer | None:
    return None if text is None else Pointer(text)


def _tag(text: str) -> str:
    """Return a version's text if it can be sent as an ETag, else a hash of it."""
    if _PLAIN_TAG.fullmatch(text):
        return text
    return hashlib.sha256(text.encode()).hexdigest()[:32]
