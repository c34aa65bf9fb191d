"""Steps on the catalogue's database: which originals have not been described, and what was found in them."""

from collections.abc import Collection, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Row, Select, and_, select, update

from was_daemon.catalogue.schema import assets
from was_daemon.catalogue.searching import Cursor, next_rows, without_index
from was_daemon.model.facts import FACTS_VERSION, Facts
from was_daemon.model.keys import AssetKey, Kind


@attrs.frozen
class Undescribed:
    """Row of an original that has not been described since it came at the Unix time `changed`."""

    number: int
    changed: float
    store: str
    key: AssetKey


def undescribed(connection: Connection, stores: Collection[str], limit: int) -> list[Undescribed]:
    """Return originals in these stores that nobody has described, the latest first; then those of earlier versions."""
    version = assets.c.description
    for is_it in (version == 0, and_(version > 0, version < FACTS_VERSION)):
        query = _rows().where(is_it, without_index(assets.c.store).in_(stores))
        query = query.order_by(version.desc(), assets.c.id.desc())
        found = connection.execute(query.limit(limit)).all()
        if found:
            return [_undescribed(row) for row in found]
    return []


def undescribed_after(
    connection: Connection, store: str, directories: Collection[str], after: Cursor | None, limit: int
) -> tuple[list[Undescribed], Cursor | None]:
    """Return the next originals of a store that are not described by this version, and the cursor of those after them.

    The cursor is None after the last. They stay in order when some have been described meanwhile.
    """
    version, columns = assets.c.description, assets.c
    is_there = without_index(columns.store) == store, without_index(columns.collection).in_(directories)
    query = _rows().where(version < FACTS_VERSION, *is_there)
    rows = next_rows(connection, query, version, after, limit)
    cursor = (rows[-1].sorted_by, rows[-1].id) if len(rows) == limit else None
    return [_undescribed(row) for row in rows], cursor


def _rows() -> Select[Any]:
    return select(assets.c.id, assets.c.changed, assets.c.store, assets.c.collection, assets.c.name)


def _undescribed(row: Row[Any]) -> Undescribed:
    return Undescribed(row.id, row.changed, row.store, AssetKey(row.collection, Kind.ORIGINAL, row.name))


def describe(connection: Connection, described: Sequence[tuple[Undescribed, Facts]]) -> None:
    """Enter what was found in originals, except in those that have been replaced since."""
    for row, facts in described:
        is_it = and_(assets.c.id == row.number, assets.c.changed == row.changed)
        connection.execute(update(assets).where(is_it).values(description=FACTS_VERSION, **attrs.asdict(facts)))


def describe_content(connection: Connection, described: Sequence[tuple[str, AssetKey, str, Facts]]) -> None:
    """Enter what was found in originals of a store and a key whose content has this SHA-256."""
    columns = assets.c
    for store, key, sha256, facts in described:
        is_it = and_(
            columns.store == store,
            columns.collection == key.collection,
            columns.name == key.name,
            columns.sha256 == sha256,
        )
        connection.execute(update(assets).where(is_it).values(description=FACTS_VERSION, **attrs.asdict(facts)))
