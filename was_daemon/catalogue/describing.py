"""Steps on the catalogue's database: which originals have not been described, and what was found in them."""

from collections.abc import Collection, Sequence

import attrs
from sqlalchemy import Connection, and_, select, update

from was_daemon.catalogue.schema import assets
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
        query = select(assets.c.id, assets.c.changed, assets.c.store, assets.c.collection, assets.c.name)
        query = query.where(is_it, assets.c.store.in_(stores)).order_by(version.desc(), assets.c.id.desc()).limit(limit)
        found = [
            Undescribed(row.id, row.changed, row.store, AssetKey(row.collection, Kind.ORIGINAL, row.name))
            for row in connection.execute(query)
        ]
        if found:
            return found
    return []


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
