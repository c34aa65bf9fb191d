"""Steps on the catalogue's database: recording events, and finding what is recorded of originals."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, and_, delete, func, insert, select, update

from was_daemon.catalogue.events import Event
from was_daemon.catalogue.schema import assets, history
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind


def record(connection: Connection, events: Iterable[Event]) -> None:
    """Add events to the history, unless they are in it, and bring `assets` up to date.

    Events may come late, or in another order than they happened in: the latest one by its time decides.
    """
    for event in events:
        if connection.scalar(select(history.c.id).where(history.c.source == event.source)) is not None:
            continue
        latest = connection.scalar(select(func.max(history.c.at)).where(_is(history, event.store, event.key)))
        connection.execute(
            insert(history).values(source=event.source, at=event.at, kind=event.kind.value, **_facts(event))
        )
        if latest is None or latest <= event.at:
            _update(connection, event)


def _update(connection: Connection, event: Event) -> None:
    this = _is(assets, event.store, event.key)
    if not event.kind.has_content:
        connection.execute(delete(assets).where(this))
        return
    facts = {"changed": event.at, **_facts(event)}
    if not connection.execute(update(assets).where(this).values(facts)).rowcount:
        connection.execute(insert(assets).values(facts))


def _facts(event: Event) -> dict[str, Any]:
    digest = event.digest
    return {
        "store": event.store,
        "collection": event.key.collection,
        "name": event.key.name,
        "size": digest and digest.size,
        "sha256": digest and digest.sha256,
        "md5": digest and digest.md5,
        "file_name": event.origin.file_name,
        "address": event.origin.address,
    }


def find_digest(connection: Connection, store: str, key: AssetKey) -> Digest | None:
    """Return what is recorded of the content of an original, None if nothing is."""
    row = connection.execute(_digests().where(_is(assets, store, key))).one_or_none()
    return _digest(row) if row else None


def digests_after(
    connection: Connection, store: str, collection: str, name: str, limit: int
) -> list[tuple[AssetKey, Digest]]:
    """Return what is recorded of the next originals of a collection after `name`, in the order of their names."""
    is_known = and_(assets.c.size.is_not(None), assets.c.sha256.is_not(None))
    those = and_(assets.c.store == store, assets.c.collection == collection, assets.c.name > name, is_known)
    rows = connection.execute(_digests().where(those).order_by(assets.c.name).limit(limit))
    return [(AssetKey(collection, Kind.ORIGINAL, row.name), Digest(row.size, row.sha256, row.md5)) for row in rows]


def _digests() -> Select[Any]:
    return select(assets.c.name, assets.c.size, assets.c.sha256, assets.c.md5)


def _digest(row: Row[Any]) -> Digest | None:
    return Digest(row.size, row.sha256, row.md5) if row.size is not None and row.sha256 else None


def _is(table: Table, store: str, key: AssetKey) -> Any:
    return and_(table.c.store == store, table.c.collection == key.collection, table.c.name == key.name)
