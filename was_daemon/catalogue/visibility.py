"""Statements about who may read originals, in the catalogue's database: those of records, and decisions by hand.

The functions are steps for `CatalogueDatabase`.
"""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Column, Connection, Select, Table, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from was_daemon.catalogue.identities import Identity, among
from was_daemon.catalogue.schema import records, visibility
from was_daemon.library.visibility import Statement

_TICK_SECONDS = 0.001
"""Least time between two decisions."""


@attrs.frozen
class Source:
    """A table with statements about originals, and the column with the time of the last change of each row."""

    table: Table
    time: Column[Any]


RECORDS = Source(records, records.c.changed)
DECISIONS = Source(visibility, visibility.c.at)


@attrs.frozen
class Position:
    """Position in a table that is read in the order of the times of changes."""

    time: float
    id: int = 0


@attrs.frozen
class Decision:
    """A decision by hand: `is_private` is None where it was taken back; `at` is in Unix seconds."""

    store: str
    collection: str
    name: str
    is_private: bool | None
    reason: str | None
    at: float


@attrs.frozen
class Summary:
    """Summary of the rows of a table that have changed since a time: it differs whenever one of them changes."""

    since: float
    count: int
    last: float
    sum: float


def summary(connection: Connection, source: Source, since: float) -> Summary:
    """Return the summary of what has changed since a time, which is the last one if nothing has."""
    time = source.time
    query = select(func.count(), func.max(time), func.sum(time)).where(time >= since)
    count, last, total = connection.execute(query).one()
    return Summary(since, count, since if last is None else last, total or 0.0)


def changed_after(
    connection: Connection, source: Source, position: Position, limit: int
) -> tuple[dict[Identity, Statement | None], Position | None]:
    """Return what counts now of the originals in the next changed rows, and the position after; None at the end."""
    table, time = source.table, source.time
    rest = and_(time >= position.time, or_(time > position.time, table.c.id > position.id))
    rows = connection.execute(
        select(table.c.store, table.c.collection, table.c.name, time, table.c.id)
        .where(rest)
        .order_by(time, table.c.id)
        .limit(limit)
    ).all()
    found = statements(connection, list({tuple(row[:3]) for row in rows}))
    return found, Position(rows[-1][3], rows[-1][4]) if len(rows) == limit else None


def statements(connection: Connection, identities: Sequence[Identity]) -> dict[Identity, Statement | None]:
    """Return the statement that counts about each of some hundred originals."""
    found: dict[Identity, Statement | None] = dict.fromkeys(identities)
    for source in (RECORDS, DECISIONS):
        for row in connection.execute(_stating(source).where(among(source.table, identities))):
            identity = row.store, row.collection, row.name
            found[identity] = max(found[identity] or Statement.PUBLIC, _statement(source, row.state))
    return found


def stated_after(
    connection: Connection, source: Source, last: int, limit: int
) -> tuple[list[tuple[Identity, Statement]], int | None]:
    """Return what the next rows say after the row with the number `last`, and the last one's, if more follow."""
    rows = connection.execute(
        _stating(source).where(source.table.c.id > last).order_by(source.table.c.id).limit(limit)
    ).all()
    found = [((row.store, row.collection, row.name), _statement(source, row.state)) for row in rows]
    return found, rows[-1].id if len(rows) == limit else None


def _stating(source: Source) -> Select[Any]:
    """Return the query of all rows that say something: removed records do not, and decisions that were taken back."""
    table = source.table
    is_record = source is RECORDS
    state = records.c.is_public if is_record else visibility.c.is_private
    counts = records.c.is_removed.is_(False) if is_record else visibility.c.is_private.is_not(None)
    return select(table.c.id, table.c.store, table.c.collection, table.c.name, state.label("state")).where(counts)


def _statement(source: Source, state: bool | None) -> Statement:
    if source is DECISIONS:
        return Statement.PRIVATE_BY_HAND if state else Statement.PUBLIC_BY_HAND
    if state is None:
        return Statement.UNDECIDED
    return Statement.PUBLIC if state else Statement.PRIVATE


def decide(connection: Connection, decisions: Sequence[Decision]) -> None:
    """Record decisions, each in place of the one before it about the same original."""
    last = connection.scalar(select(func.max(visibility.c.at))) or 0.0
    for decision in decisions:
        # Daemons read what came after the last decision that they know, and the clocks of machines differ.
        last = max(decision.at, last + _TICK_SECONDS)
        values = attrs.asdict(attrs.evolve(decision, at=last))
        is_there = among(visibility, [(decision.store, decision.collection, decision.name)])
        if connection.execute(update(visibility).where(is_there).values(values)).rowcount:
            continue
        try:
            with connection.begin_nested():
                connection.execute(insert(visibility).values(values))
        except IntegrityError:
            # Somebody else has decided at the same moment.
            connection.execute(update(visibility).where(is_there).values(values))


def decisions_after(connection: Connection, last: int, limit: int) -> tuple[list[Decision], int | None]:
    """Return the next decisions that stand, and the number of the last one, if more follow."""
    rows = connection.execute(
        select(visibility)
        .where(visibility.c.id > last, visibility.c.is_private.is_not(None))
        .order_by(visibility.c.id)
        .limit(limit)
    ).all()
    return [_decision(row) for row in rows], rows[-1].id if len(rows) == limit else None


def decision_about(connection: Connection, identity: Identity) -> Decision | None:
    """Return the decision that stands about an original."""
    stands = among(visibility, [identity]), visibility.c.is_private.is_not(None)
    row = connection.execute(select(visibility).where(*stands)).one_or_none()
    return _decision(row) if row else None


def records_about(connection: Connection, identity: Identity) -> list[tuple[str, int, bool | None]]:
    """Return source, number and `is_public` of the records of an original."""
    rows = connection.execute(
        select(records.c.source, records.c.number, records.c.is_public)
        .where(among(records, [identity]), records.c.is_removed.is_(False))
        .order_by(records.c.source, records.c.number)
    )
    return [(row.source, row.number, row.is_public) for row in rows]


def _decision(row: Any) -> Decision:
    return Decision(row.store, row.collection, row.name, row.is_private, row.reason, row.at)
