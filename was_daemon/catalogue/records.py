"""Steps on the catalogue's database: recording events, and finding what is recorded of originals."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Row, Select, Table, and_, delete, func, insert, select

from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.identities import Identity, among
from was_daemon.catalogue.schema import assets, history
from was_daemon.model.digests import Digest
from was_daemon.model.folding import beginning, folded
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.model.trash import NOTHING_KNOWN, Known

ORIGIN = tuple(field.name for field in attrs.fields(Origin))
"""The columns of an `Origin`."""


def record(connection: Connection, events: Sequence[Event]) -> None:
    """Add some hundred events to the history, unless they are in it, and bring `assets` up to date.

    Events may come late, or in another order than they happened in: the latest one by its time decides.
    """
    known = set(
        connection.scalars(select(history.c.source).where(history.c.source.in_([each.source for each in events])))
    )
    fresh = list({each.source: each for each in events if each.source not in known}.values())
    if not fresh:
        return
    latest = _latest(connection, fresh)
    facts = {each.source: _facts(each) for each in fresh}
    connection.execute(
        insert(history),
        [{"source": each.source, "at": each.at, "kind": each.kind.value, **facts[each.source]} for each in fresh],
    )
    current: dict[Identity, Event] = {}
    for event in fresh:
        identity = _identity(event)
        if event.at >= latest.get(identity, event.at):
            latest[identity] = event.at
            current[identity] = event
    if current:
        connection.execute(delete(assets).where(among(assets, current)))
    rows = [
        {"changed": event.at, "checked": event.at if event.digest else None}
        | facts[event.source]
        | folded_columns(event.key.name, event.origin)
        for event in current.values()
        if event.kind.has_content
    ]
    if rows:
        connection.execute(insert(assets), rows)


def _latest(connection: Connection, events: Sequence[Event]) -> dict[Identity, float]:
    """Return the time of the last event in the history of each original that `events` are about."""
    key = history.c.store, history.c.collection, history.c.name
    those = among(history, {_identity(event) for event in events})
    return {
        row[:3]: row[3] for row in connection.execute(select(*key, func.max(history.c.at)).where(those).group_by(*key))
    }


def _identity(event: Event) -> Identity:
    return event.store, event.key.collection, event.key.name


def _facts(event: Event) -> dict[str, Any]:
    digest = event.digest
    return {
        "store": event.store,
        "collection": event.key.collection,
        "name": event.key.name,
        "size": digest and digest.size,
        "sha256": digest and digest.sha256,
        "md5": digest and digest.md5,
        # `attrs.asdict` takes ten times as long.
        **{name: getattr(event.origin, name) for name in ORIGIN},
    }


def folded_columns(name: str, origin: Origin) -> dict[str, str | None]:
    """Return the columns of `assets` by which names and paths are found."""
    texts = {"name": name, "file_name": origin.file_name, "file_path": origin.file_path}
    return {f"{name}_folded": text and beginning(folded(text)) for name, text in texts.items()}


def overtaken(connection: Connection, events: Sequence[Event]) -> set[str]:
    """Return the sources of those of some hundred events after which the same original was changed again."""
    key = history.c.store, history.c.collection, history.c.name
    those = among(history, {_identity(event) for event in events})
    by_daemons = history.c.kind.in_([kind.value for kind in EventKind if kind.is_change])
    later: dict[Identity, list[tuple[float, str]]] = {}
    for row in connection.execute(select(*key, history.c.at, history.c.source).where(those, by_daemons)):
        later.setdefault(tuple(row[:3]), []).append((row[3], row[4]))
    return {
        event.source
        for event in events
        if any(at > event.at and source != event.source for at, source in later.get(_identity(event), ()))
    }


def find_digest(connection: Connection, store: str, key: AssetKey) -> Digest | None:
    """Return what is recorded of the content of an original, None if nothing is."""
    row = connection.execute(_digests().where(_is(assets, store, key))).one_or_none()
    return _digest(row) if row else None


def find_known(connection: Connection, store: str, key: AssetKey) -> Known:
    """Return what is recorded of the content and the origin of an original."""
    query = _digests().add_columns(*(assets.c[name] for name in ORIGIN))
    row = connection.execute(query.where(_is(assets, store, key))).one_or_none()
    return Known(_digest(row), origin_of(row)) if row else NOTHING_KNOWN


def origin_of(row: Row[Any]) -> Origin:
    """Return the origin in a row that has the columns `ORIGIN`."""
    return Origin(**{name: row._mapping[name] for name in ORIGIN})


def recorded(connection: Connection, store: str, keys: Sequence[AssetKey]) -> set[AssetKey]:
    """Return those of some hundred originals of which the content is recorded."""
    return _selected(connection, store, keys, assets.c.sha256.is_not(None))


def listed(connection: Connection, store: str, keys: Sequence[AssetKey]) -> set[AssetKey]:
    """Return those of some hundred originals that have a row, also if nobody has read their content yet."""
    return _selected(connection, store, keys)


def _selected(connection: Connection, store: str, keys: Sequence[AssetKey], *conditions: Any) -> set[AssetKey]:
    those = among(assets, [(store, key.collection, key.name) for key in keys])
    rows = connection.execute(select(assets.c.collection, assets.c.name).where(those, *conditions))
    return {AssetKey(collection, Kind.ORIGINAL, name) for collection, name in rows}


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


def last_restored(connection: Connection, store: str, key: AssetKey) -> float | None:
    """Return the Unix time at which an original was last brought back from the trash; None if it never was."""
    is_it = _is(history, store, key), history.c.kind == EventKind.RESTORED.value
    latest: float | None = connection.scalar(select(func.max(history.c.at)).where(*is_it))
    return latest


def _is(table: Table, store: str, key: AssetKey) -> Any:
    return and_(table.c.store == store, table.c.collection == key.collection, table.c.name == key.name)
