"""What the California Academy's clients ask about files before they upload them: `getImageRecord`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from was_daemon.model.errors import AssetNotFound, BadRequest
from was_daemon.model.folding import folded
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.search import Pattern, Search
from was_daemon.model.search_texts import is_text

if TYPE_CHECKING:
    from was_daemon.catalogue.finder import Finder

_MAX_RECORDS = 1000
_KINDS = ("filename", "path", "md5")
_YES = frozenset({"yes", "true", "t", "y", "1"})
_MAX_PATTERN = 2000


class ImageRecords:
    """Answers from the catalogue, in the form that these clients know."""

    def __init__(self, finder: "Finder") -> None:
        self._finder = finder

    async def answer(self, fields: Mapping[str, str], directory: str | None, base_url: str) -> str:
        """Fire with the records that fit, as JSON; raises `AssetNotFound` when there are none, and `BadRequest`."""
        page = await self._finder.page(_search(fields, directory), None, _MAX_RECORDS)
        if not page.rows:
            raise AssetNotFound("no such record")
        records = [self._record(row, fields.get("coll"), base_url) for row in page.rows]
        return json.dumps(records, indent=4, sort_keys=True)

    def _record(self, row: Mapping[str, Any], collection: str | None, base_url: str) -> dict[str, Any]:
        directory = self._finder.directory(row["collection"])
        path = Layout.FLAT.path(AssetKey(directory, Kind.ORIGINAL, row["name"]))
        return {
            "original_filename": row["file_name"],
            "url": f"{base_url}/static/{quote(path)}",
            "universal_url": None,
            "internal_filename": row["name"],
            "collection": collection or row["collection"],
            "original_path": row["file_path"],
            "notes": row["notes"],
            "redacted": int(row["redacted"]),
            "datetime": f"{datetime.fromtimestamp(row['stored'], UTC):%Y-%m-%d %H:%M:%S}",
            "orig_md5": row["file_md5"] or row["md5"],
        }


def _search(fields: Mapping[str, str], directory: str | None) -> Search:
    """Return the search for what a client asks. Newer clients have encoded the text twice."""
    kind, text = fields.get("search_type", "filename"), unquote(fields["file_string"])
    directories = None if directory is None else (directory,)
    if kind not in _KINDS or not 1 <= len(text) <= _MAX_PATTERN or not is_text(text):
        raise BadRequest("search_type is none of filename, path and md5, or file_string is empty, too long, or no text")
    if kind == "md5":
        return Search(md5=text.lower(), directories=directories)
    is_exact = fields.get("exact", "").lower() in _YES
    # Wildcards as SQL has them, in a part of the text.
    pattern = Pattern(folded(text) if is_exact else f"*{folded(text)}*".replace("%", "*"), is_exact)
    if kind == "filename":
        return Search(file_name=pattern, directories=directories)
    return Search(file_path=pattern, directories=directories)
