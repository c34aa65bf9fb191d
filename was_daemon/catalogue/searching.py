"""Steps on the catalogue's database: searching it, in pages that each take little time.

Every search goes by the order of one column that it limits, which has an index with `id` after it: the next page begins
behind the last row of the one before.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal, or_, select, union

from was_daemon.catalogue.schema import ExactText, assets, history, visibility
from was_daemon.model.folding import beginning
from was_daemon.model.search import Area, Pattern, Search
from was_daemon.model.search_texts import BadSearch

Cursor: TypeAlias = tuple[Any, int]
"""Value of the sorted column in the last row of a page, and the row's number."""

_BATCH = 1000
_MOST_ROWS = 20_000
"""Rows that one page looks at, at most: what a database cannot compare is compared here, and may fit in few rows."""

_COLUMNS_OF_TIME = ("id", "collection", "changed", "captured")
"""Columns by whose order rows come in the order of time; of one collection, the numbers of rows follow."""

_LAST_CHARACTER = "\U0010ffff"
_ESCAPE = "!"

_FACTS = ("media_type", "width", "height", "pages", "captured", "latitude", "longitude")
_ORIGIN = ("file_name", "file_path", "file_md5", "notes", "address")
_DIGEST = ("size", "sha256", "md5")
_KEY = ("store", "collection", "name")


@attrs.frozen
class Page:
    """Some of the rows that a search finds, as dictionaries, and the cursor of the next page, None after the last."""

    rows: list[dict[str, Any]]
    cursor: Cursor | None


def find(connection: Connection, search: Search, after: Cursor | None, limit: int, backwards: bool = False) -> Page:
    """Return the next originals that a search finds, at most `limit`, in the order of what it asks for first.

    With `backwards` the last of that order comes first. There may be fewer although more follow. Each has the columns
    of its key, content, facts and origin, `stored`, the Unix time since which it is there, and `redacted`, whether
    somebody has decided that it is private. Raises `BadSearch` for a cursor of another search.
    """
    column = _sorted_column(search)
    if after and isinstance(after[0], str) != isinstance(column.type, ExactText):
        raise BadSearch("cursor: is one of another search")
    query = _query(search.md5).where(*_conditions(search))
    found: list[dict[str, Any]] = []
    for _ in range(_MOST_ROWS // _BATCH):
        size = min(_BATCH, max(limit, 1))
        rows = next_rows(connection, query, column, after, size, backwards)
        for row in rows:
            after = (row.sorted_by, row.id)
            if _fits(search, row):
                found.append(_document(row))
                if len(found) == limit:
                    return Page(found, after)
        if len(rows) < size:
            return Page(found, None)
    return Page(found, after)


def history_of(
    connection: Connection, name: str, directories: Sequence[str] | None, after: Cursor | None, limit: int
) -> Page:
    """Return the next events in the life of originals of exactly this name, the oldest first."""
    columns = [history.c[name] for name in (*_KEY, *_DIGEST, *_ORIGIN)]
    query = select(history.c.id, history.c.at, history.c.kind, *columns).where(history.c.name == name)
    if directories is not None:
        query = query.where(history.c.collection.in_(directories))
    if after and isinstance(after[0], str):
        raise BadSearch("cursor: is one of another search")
    rows = next_rows(connection, query, history.c.at, after, limit)
    cursor = (rows[-1].sorted_by, rows[-1].id) if len(rows) == limit else None
    return Page([_document(row) for row in rows], cursor)


def collections_of(connection: Connection, limit: int) -> list[str]:
    """Return the first directories of collections of which originals are recorded, at most `limit`, in their order."""
    found: list[str] = []
    while len(found) < limit:
        # One look into the index for each, where "distinct" would read all rows.
        query = select(func.min(assets.c.collection))
        directory = connection.scalar(query.where(assets.c.collection > found[-1]) if found else query)
        if directory is None:
            break
        found.append(directory)
    return found


def _query(md5: str | None) -> Select[Any]:
    """Return the query for originals, or for those with this MD5, here or on the client's side."""
    columns = [assets.c[name] for name in (*_KEY, *_DIGEST, *_FACTS, *_ORIGIN)]
    of_it = and_(*(visibility.c[name] == assets.c[name] for name in _KEY))
    stored, redacted = assets.c.changed.label("stored"), visibility.c.is_private.label("redacted")
    query = select(assets.c.id, *columns, stored, redacted)
    if md5 is None:
        return query.select_from(assets.outerjoin(visibility, of_it))
    # Not one condition with "or", for which a database may read all rows.
    either = union(*(select(assets.c.id).where(each == md5) for each in (assets.c.md5, assets.c.file_md5))).subquery()
    return query.select_from(assets.join(either, either.c.id == assets.c.id).outerjoin(visibility, of_it))


def next_rows(
    connection: Connection,
    query: Select[Any],
    column: ColumnElement[Any],
    after: Cursor | None,
    limit: int,
    backwards: bool = False,
) -> list[Row[Any]]:
    """Return the next rows of a query in the order of a column, which becomes `sorted_by`, and of the row's number."""
    number = column.table.c.id
    query = query.add_columns(column.label("sorted_by"))
    order = (column.desc(), number.desc()) if backwards else (column, number)
    if after is None:
        return list(connection.execute(query.order_by(*order).limit(limit)))
    # Two queries that each database answers by the index, as not all do for a comparison of both columns.
    value, last = after
    is_next, is_later = (number < last, column < value) if backwards else (number > last, column > value)
    same = query.where(column == value, is_next).order_by(order[1]).limit(limit)
    rows = list(connection.execute(same))
    if len(rows) < limit:
        following = query.where(is_later).order_by(*order).limit(limit - len(rows))
        rows += connection.execute(following)
    return rows


def _sorted_column(search: Search) -> ColumnElement[Any]:
    """Return the column by which rows are read: of those that the search limits, the one that leaves the fewest."""
    if search.sha256 or search.md5:
        return assets.c.id
    for name, pattern in search.patterns.items():
        if pattern.parts[0]:
            return assets.c[f"{name}_folded"]
    if search.area:
        return assets.c.latitude
    for asked, name in ((search.captured, "captured"), (search.stored, "changed"), (search.size, "size")):
        if asked:
            return assets.c[name]
    for name in search.patterns:
        # The index has the texts, so that only the rows that match are read.
        return assets.c[f"{name}_folded"]
    if search.media_type:
        return assets.c.media_type
    return assets.c.id if search.directories is None else assets.c.collection


def goes_by_time(search: Search) -> bool:
    """Return whether the originals that a search finds are in the order of time: of uploads, or of photographs."""
    return _sorted_column(search).key in _COLUMNS_OF_TIME


def _conditions(search: Search) -> list[ColumnElement[bool]]:
    columns = assets.c
    found: list[ColumnElement[bool]] = []
    if search.sha256:
        found.append(columns.sha256 == search.sha256)
    for name, pattern in search.patterns.items():
        found += _like(columns[f"{name}_folded"], pattern)
    if search.media_type:
        found += _starts(columns.media_type, search.media_type)
    if search.captured:
        first, last = search.captured
        found += _between(columns.captured, first, last and last + _LAST_CHARACTER)
    if search.stored:
        found += _between(columns.changed, *search.stored)
    if search.size:
        least, most = search.size
        found += _between(columns.size, least, None if most is None else most + 1)
    if search.area:
        found += _inside(search.area)
    if search.directories is not None:
        is_sorted_by = _sorted_column(search) is columns.collection
        column = columns.collection if is_sorted_by else without_index(columns.collection)
        found.append(column.in_(search.directories))
    return found


def without_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an expression for a column of few values, whose index a database would prefer to that of the order."""
    return func.coalesce(column, literal("", column.type))


def _like(column: ColumnElement[Any], pattern: Pattern) -> list[ColumnElement[bool]]:
    """Return conditions that are true at least of the texts that a pattern matches."""
    first, *others = pattern.parts
    if not others:
        return [column == beginning(first)]
    limits = _starts(column, beginning(first)) if first else _between(column, None, None)
    if beginning(pattern.text) != pattern.text or others == ["*", ""]:
        return limits
    # In bytes, one character may be several.
    parts = ("%" if part in ("*", "?") else _escaped(part) for part in pattern.parts)
    return [*limits, column.like("".join(parts), escape=_ESCAPE)]


def _escaped(text: str) -> str:
    for each in (_ESCAPE, "%", "_"):
        text = text.replace(each, _ESCAPE + each)
    return text


def _starts(column: ColumnElement[Any], text: str) -> list[ColumnElement[bool]]:
    return _between(column, text, text + _LAST_CHARACTER)


def _between(column: ColumnElement[Any], first: Any, end: Any) -> list[ColumnElement[bool]]:
    """Return conditions for the values from `first` on and below `end`; None is no limit."""
    limits: list[ColumnElement[bool]] = [column.is_not(None) if first is None else column >= first]
    return limits if end is None else [*limits, column < end]


def _inside(area: Area) -> list[ColumnElement[bool]]:
    longitude = assets.c.longitude
    is_plain = area.west <= area.east
    sides = (and_ if is_plain else or_)(longitude >= area.west, longitude <= area.east)
    return [assets.c.latitude >= area.south, assets.c.latitude <= area.north, sides]


def _fits(search: Search, row: Row[Any]) -> bool:
    """Return whether a row is as asked also where databases compare less exactly, or not at all."""
    if any(not pattern.matches(getattr(row, name)) for name, pattern in search.patterns.items()):
        return False
    return search.area is None or search.area.holds(row.latitude, row.longitude)


def _document(row: Row[Any]) -> dict[str, Any]:
    hidden = ("id", "sorted_by")
    document = {name: value for name, value in row._mapping.items() if name not in hidden}
    return document | ({"redacted": bool(row.redacted)} if "redacted" in document else {})
