"""Steps on the catalogue's database: keeping what Specify says of attachments in the table `records`."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from was_daemon.catalogue.schema import records, sources
from was_daemon.specify.attachments import Attachment, Page

FORMER_SECONDS = 366 * 86_400.0
"""Seconds for which the former originals of records are known."""


@attrs.frozen
class Source:
    """A database of Specify: the `name` of its section, and the store and the directory of its attachments."""

    name: str
    store: str
    collection: str


@attrs.frozen
class Reading:
    """The last reading of a database or an export: the Unix time of what was read, and the number of its rows."""

    at: float
    rows: int


def keep(connection: Connection, source: Source, page: Page) -> int:
    """Bring the records of a page up to date; return how many have become different, those that are gone included."""
    now = time.time()
    numbers = [attachment.number for attachment in page.rows]
    is_here = and_(records.c.source == source.name, records.c.number.in_(numbers))
    known = {row.number: row for row in connection.execute(select(records).where(is_here))}
    fresh, different, moved = [], [], []
    for attachment in page.rows:
        facts = _facts(source, attachment)
        before = known.get(attachment.number)
        if before is not None and _is_moved(before._mapping, facts):
            moved.append(before.id)
            before = None
        if before is None:
            fresh.append({"source": source.name, "number": attachment.number, "changed": now, **facts})
        elif _differ(before._mapping, facts):
            different.append({"row": before.id, "changed": now, **facts})
    if moved:
        _leave_behind(connection, moved, now)
    if fresh:
        connection.execute(insert(records), fresh)
    if different:
        connection.execute(update(records).where(records.c.id == bindparam("row")), different)
    return len(fresh) + len(different) + _remove_others(connection, source, page, numbers, now)


def _is_moved(before: Mapping[Any, Any], facts: Mapping[str, Any]) -> bool:
    """Return whether a record was of another original before."""
    return not before["is_removed"] and any(before[name] != facts[name] for name in ("store", "collection", "name"))


def _leave_behind(connection: Connection, rows: Sequence[int], now: float) -> None:
    """Remove records of originals that have another one now, under numbers that Specify gives to none.

    Whoever reads what has changed learns of the original before in this way: it may be private from now on.
    """
    values = {"number": -records.c.id, "is_removed": True, "changed": now}
    connection.execute(update(records).where(records.c.id.in_(rows)).values(values))


def _remove_others(connection: Connection, source: Source, page: Page, numbers: Sequence[int], now: float) -> int:
    gone = [
        records.c.source == source.name,
        records.c.number >= page.first,
        records.c.number.not_in(numbers),
        records.c.is_removed.is_(False),
    ]
    if page.stop is not None:
        gone.append(records.c.number < page.stop)
    return connection.execute(update(records).where(*gone).values(is_removed=True, changed=now)).rowcount


def _facts(source: Source, attachment: Attachment) -> dict[str, Any]:
    name = attachment.name
    facts = attrs.asdict(attachment, recurse=False) | {
        "store": source.store,
        "collection": source.collection,
        "name": name or "",
        "location": attachment.location if name is None else None,
        "is_removed": False,
    }
    del facts["number"]
    return facts


def _differ(before: Mapping[Any, Any], facts: Mapping[str, Any]) -> bool:
    return any(before[name] != value for name, value in facts.items())


def note_reading(connection: Connection, name: str, rows: int, at: float) -> None:
    """Record that the rows of a source are known as they were at the Unix time `at`, and forget what is long past."""
    is_past = records.c.source == name, records.c.number < 0, records.c.changed < at - FORMER_SECONDS
    connection.execute(delete(records).where(*is_past))
    facts = {"read_at": at, "row_count": rows}
    if not connection.execute(update(sources).where(sources.c.source == name).values(**facts)).rowcount:
        connection.execute(insert(sources).values(source=name, **facts))


def last_reading(connection: Connection, name: str) -> Reading | None:
    """Return the last reading of a source, None if it was never read."""
    row = connection.execute(
        select(sources.c.read_at, sources.c.row_count).where(sources.c.source == name)
    ).one_or_none()
    return Reading(*row) if row else None


def tells_visibility(connection: Connection, name: str) -> bool:
    """Return whether any record of a source says who may see its original."""
    those = records.c.source == name, records.c.is_public.is_not(None), records.c.is_removed.is_(False)
    return connection.execute(select(records.c.id).where(*those).limit(1)).first() is not None


def records_after(connection: Connection, number: int, limit: int, since: float = 0.0) -> list[Any]:
    """Return the next rows of `records` after the row called `number`, of all sources, changed at `since` or later."""
    wanted = (
        *(records.c.id, records.c.source, records.c.number, records.c.store, records.c.collection, records.c.name),
        *(records.c.location, records.c.table_number, records.c.is_removed, records.c.changed),
    )
    those = records.c.id > number, records.c.changed >= since
    return list(connection.execute(select(*wanted).where(*those).order_by(records.c.id).limit(limit)))
