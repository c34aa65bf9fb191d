"""Search of the catalogue on the admin endpoints: `/assets` and `/history`, as JSON, in pages."""

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from was_daemon.model.search_texts import BadSearch, is_text, parse_search

if TYPE_CHECKING:
    from was_daemon.catalogue.finder import Finder
    from was_daemon.catalogue.searching import Cursor, Page

_MAX_ROWS = 1000
_DEFAULT_ROWS = 100
_NUMBER = re.compile(r"[0-9]{1,9}")
_END = 1 << 63


class AssetQuery:
    """Query of a page: what is asked, the collections, and where the page begins. Raises `BadSearch`."""

    def __init__(self, query: bytes) -> None:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        self.collections = [value for name, value in pairs if name == "collection"]
        fields = [(name, value) for name, value in pairs if name != "collection"]
        self._fields = dict(fields)
        if len(self._fields) < len(fields):
            raise BadSearch("a field is given twice")
        self.limit = _limit(self._fields.pop("limit", str(_DEFAULT_ROWS)))
        self.after = parse_cursor(self._fields.pop("cursor", ""))

    async def assets(self, finder: "Finder") -> dict[str, Any]:
        """Fire with the originals that are found, and the cursor of the next page; raises `StoreUnavailable`."""
        search = parse_search(self._fields, finder.directories(self.collections))
        return _document("assets", await finder.page(search, self.after, self.limit))

    async def history(self, finder: "Finder") -> dict[str, Any]:
        """Fire with the events of the name that is asked for, and the cursor of the next page."""
        if self._fields.keys() != {"name"}:
            raise BadSearch("name: the name of an original is needed, and nothing else but collection")
        directories = finder.directories(self.collections)
        if not is_text(self._fields["name"]):
            raise BadSearch("name: has characters that no name has")
        page = await finder.history(self._fields["name"], directories, self.after, self.limit)
        return _document("events", page)


def _document(name: str, page: "Page") -> dict[str, Any]:
    cursor = page.cursor and cursor_text(page.cursor)
    return {name: page.rows, "next": cursor}


def _limit(text: str) -> int:
    if not (_NUMBER.fullmatch(text) and 1 <= int(text) <= _MAX_ROWS):
        raise BadSearch(f"limit: is a number from 1 to {_MAX_ROWS}")
    return int(text)


def cursor_text(cursor: "Cursor") -> str:
    """Return a cursor as a part of an address."""
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()


def parse_cursor(text: str) -> "Cursor | None":
    """Return a cursor that an earlier page has told, None without one; raises `BadSearch`.

    Its value is compared with a column, and no more.
    """
    if not text:
        return None
    try:
        value, number = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError, RecursionError):
        raise BadSearch("cursor: is not one that a page has told") from None
    is_value = is_text(value) if type(value) is str else type(value) in (int, float) and abs(value) < _END
    if not is_value or type(number) is not int or not 0 <= number < _END:
        raise BadSearch("cursor: is not one that a page has told")
    return value, number
