"""Questions to the gallery: what the form of a search has in it, and where a page begins."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import attrs

from was_daemon.model.search_texts import BadSearch, parse_search
from was_daemon.web.admin.assets import cursor_text, parse_cursor

if TYPE_CHECKING:
    from was_daemon.catalogue.finder import Finder
    from was_daemon.model.search import Search

PAGE_ROWS = 60
_MAX_FIELDS = 50
_COLLECTION, _CURSOR = "collection", "cursor"


@attrs.frozen
class Asked:
    """A question: the fields that are filled in, the name of a collection, and the cursor of a page before; "" without.

    Rows that are found come in the order of `Finder.page`, the latest first where that is one of time.
    """

    fields: Mapping[str, str] = attrs.field(factory=dict)
    collection: str = ""
    cursor: str = ""

    @classmethod
    def parse(cls, query: bytes) -> "Asked":
        """Return the question in the query of an address, whose empty fields ask for nothing; raises `BadSearch`."""
        try:
            pairs = parse_qsl(query.decode("latin-1"), max_num_fields=_MAX_FIELDS)
        except ValueError:
            raise BadSearch("there are too many fields") from None
        fields = {name: value.strip() for name, value in pairs if value.strip()}
        return cls(
            {name: value for name, value in fields.items() if name not in (_COLLECTION, _CURSOR)},
            fields.get(_COLLECTION, ""),
            fields.get(_CURSOR, ""),
        )

    @property
    def is_search(self) -> bool:
        """Whether more is asked for than a collection."""
        return bool(self.fields)

    @property
    def query(self) -> dict[str, str]:
        """The fields of the address at which the answer is."""
        return {_COLLECTION: self.collection, **self.fields, _CURSOR: self.cursor}

    async def answer(self, finder: "Finder") -> tuple[list[dict[str, Any]], "Asked | None"]:
        """Fire with rows, and with the question for those after them, None at the end.

        Raises `BadSearch` and `StoreUnavailable`.
        """
        from was_daemon.catalogue.searching import goes_by_time

        search, after = self._search(finder), parse_cursor(self.cursor)
        page = await finder.page(search, after, PAGE_ROWS, backwards=goes_by_time(search))
        return page.rows, attrs.evolve(self, cursor=cursor_text(page.cursor)) if page.cursor else None

    def wider(self) -> "Asked | None":
        """Return the question for names that contain what is asked for, None if there is no whole name to look for."""
        texts = {name: self.fields[name] for name in ("name", "file_name") if name in self.fields}
        if not texts or any(set("*?") & set(text) for text in texts.values()):
            return None
        return attrs.evolve(self, fields={**self.fields, **{name: f"*{text}*" for name, text in texts.items()}})

    def _search(self, finder: "Finder") -> "Search":
        return parse_search(self.fields, finder.directories([self.collection] if self.collection else []))
