"""Fixity of the originals in the catalogue: when each was compared with its record, and what is wrong with it."""

import enum
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Row, Select, and_, bindparam, case, func, or_, select, update

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.records import ORIGIN, origin_of
from was_daemon.catalogue.schema import assets
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin

_PAGE_ROWS = 500

_LEASE_SECONDS = 3600.0
"""Seconds after which an original is due again whose comparison came to nothing, or that is at fault."""


class Fault(enum.StrEnum):
    """Fault of an original; the value is the word in the database."""

    CHANGED = "changed"
    """Its bytes are not those that are recorded."""

    MISSING = "missing"
    """Its store, which can be used, does not have it."""

    UNREADABLE = "unreadable"
    """Its store, which can be used, fails to read it."""


@attrs.frozen
class Record:
    """Record of an original in the catalogue; `digest` is None as long as nobody has read it.

    `changed` and `checked` are the Unix times, in seconds, of its last event, and at which the stored content was known
    to be as recorded. `detail` is the sentence on `fault`, and `origin` where the content came from.
    """

    store: str
    key: AssetKey
    digest: Digest | None
    changed: float
    checked: float | None = None
    fault: Fault | None = None
    detail: str = ""
    origin: Origin = UNKNOWN_ORIGIN


@attrs.frozen
class Outcome:
    """Outcome of a comparison at the Unix time `at`: `fault` is None if the content is as recorded."""

    record: Record
    at: float
    fault: Fault | None = None
    detail: str = ""


@attrs.frozen
class Progress:
    """Numbers and bytes of all originals in some stores, and of those that are due to be compared and not at fault.

    `oldest` is the earliest Unix time at which one that is not at fault was last known to be as recorded, None if there
    is none.
    """

    originals: int
    size: int
    due: int
    due_size: int
    oldest: float | None


class FixityRecords:
    """The part of the catalogue that is about fixity. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: CatalogueDatabase, journal: Journal) -> None:
        self._database = database
        self._journal = journal

    async def take(self, stores: Collection[str], before: float, now: float, size: int) -> list[Record]:
        """Take originals that are due: those at fault, and those last known to be as recorded at the time `before`.

        The ones that have waited longest come first; no more than `size` bytes, but one at least if any is due. Nobody
        else gets them within the hour.
        """
        return await self._database.run(_take, stores, before, now, size)

    async def find(self, store: str, key: AssetKey) -> Record | None:
        """Fire with what is recorded of an original; None if nothing is, or while it changes."""
        if await self._journal.mentions(store, key):
            return None
        return await self._database.read(_find, store, key)

    async def note(self, outcomes: Sequence[Outcome]) -> None:
        """Note what has come of comparisons, unless the originals were changed since."""
        if outcomes:
            await self._database.run(_note, outcomes)

    async def counts(self, stores: Collection[str]) -> dict[Fault, int]:
        """Fire with the number of originals at fault, by what is wrong."""
        return await self._database.read(_counts, stores)

    async def progress(self, stores: Collection[str], before: float) -> Progress:
        """Fire with how many originals there are, and how many are due."""
        return await self._database.read(_progress, stores, before)

    async def collections(self, store: str) -> list[str]:
        """Fire with the collections of which originals are recorded in a store."""
        return await self._database.read(_collections, store)

    async def faulty(self, stores: Collection[str], names: Collection[str] = ()) -> AsyncGenerator[Record, None]:
        """Yield the records of the originals at fault, those of these names, or all without names."""
        last = 0
        while page := await self._database.read(_faulty_after, stores, names, last):
            for _, record in page:
                yield record
            last = page[-1][0]

    async def same_content(self, record: Record) -> AssetKey | None:
        """Fire with another original of that content in the same store that is not at fault, None if there is none."""
        return await self._database.read(_same_content, record)


def _records() -> Select[Any]:
    columns = ("id", "store", "collection", "name", "size", "sha256", "md5", "changed", "checked", "fault")
    return select(*(assets.c[name] for name in (*columns, "fault_detail", *ORIGIN)))


def _record(row: Row[Any]) -> Record:
    digest = Digest(row.size, row.sha256, row.md5) if row.size is not None and row.sha256 else None
    key = AssetKey(row.collection, Kind.ORIGINAL, row.name)
    fault = Fault(row.fault) if row.fault else None
    return Record(row.store, key, digest, row.changed, row.checked, fault, row.fault_detail or "", origin_of(row))


def _is(store: str, key: AssetKey) -> Any:
    return and_(assets.c.store == store, assets.c.collection == key.collection, assets.c.name == key.name)


def _is_due(before: float) -> Any:
    return or_(assets.c.checked.is_(None), assets.c.checked <= before)


def _take(connection: Connection, stores: Collection[str], before: float, now: float, size: int) -> list[Record]:
    is_free = or_(assets.c.tried.is_(None), assets.c.tried <= now - _LEASE_SECONDS)
    taken: list[Record] = []
    # Two queries, each of which an index answers without a look at all rows.
    for is_wanted, order in ((assets.c.fault.is_not(None), assets.c.id), (_is_due(before), assets.c.checked)):
        rows = connection.execute(
            _records().where(assets.c.store.in_(stores), is_wanted, is_free).order_by(order).limit(_PAGE_ROWS)
        ).all()
        for row in rows:
            if taken and size < (row.size or 0):
                return taken
            # Another daemon may have taken it since it was selected.
            claim = update(assets).where(assets.c.id == row.id, is_free).values(tried=now)
            if connection.execute(claim).rowcount:
                taken.append(_record(row))
                size -= row.size or 0
    return taken


def _find(connection: Connection, store: str, key: AssetKey) -> Record | None:
    row = connection.execute(_records().where(_is(store, key))).one_or_none()
    return _record(row) if row else None


_NOTED = update(assets).where(
    assets.c.store == bindparam("of_store"),
    assets.c.collection == bindparam("of_collection"),
    assets.c.name == bindparam("of_name"),
    func.coalesce(assets.c.sha256, "") == bindparam("of_sha256"),
)
_RIGHT = _NOTED.values(checked=bindparam("at"), tried=None, fault=None, fault_detail=None)
_WRONG = _NOTED.values(fault=bindparam("is_fault"), fault_detail=bindparam("detail"))


def _note(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    right = [_parameters(each) for each in outcomes if not each.fault]
    wrong = [
        {**_parameters(each), "is_fault": each.fault.value, "detail": each.detail} for each in outcomes if each.fault
    ]
    if right:
        connection.execute(_RIGHT, right)
    if wrong:
        connection.execute(_WRONG, wrong)


def _parameters(outcome: Outcome) -> dict[str, Any]:
    record = outcome.record
    key, digest = record.key, record.digest
    found = {"of_store": record.store, "of_collection": key.collection, "of_name": key.name}
    return {**found, "of_sha256": digest.sha256 if digest else "", **({} if outcome.fault else {"at": outcome.at})}


def _counts(connection: Connection, stores: Collection[str]) -> dict[Fault, int]:
    query = select(assets.c.fault, func.count()).where(assets.c.fault.is_not(None), assets.c.store.in_(stores))
    return {Fault(fault): number for fault, number in connection.execute(query.group_by(assets.c.fault))}


def _progress(connection: Connection, stores: Collection[str], before: float) -> Progress:
    is_well = assets.c.fault.is_(None)
    is_due = and_(_is_due(before), is_well)
    row = connection.execute(
        select(
            func.count(),
            func.sum(assets.c.size),
            func.sum(case((is_due, 1), else_=0)),
            func.sum(case((is_due, assets.c.size), else_=0)),
            func.min(case((is_well, assets.c.checked))),
        ).where(assets.c.store.in_(stores))
    ).one()
    # PostgreSQL and MariaDB add up to decimal numbers.
    originals, size, due, due_size = (int(value or 0) for value in row[:4])
    return Progress(originals, size, due, due_size, row[4])


def _collections(connection: Connection, store: str) -> list[str]:
    return list(connection.scalars(select(assets.c.collection).where(assets.c.store == store).distinct()))


def _faulty_after(
    connection: Connection, stores: Collection[str], names: Iterable[str], last: int
) -> list[tuple[int, Record]]:
    chosen = list(names)
    is_named = [assets.c.name.in_(chosen)] if chosen else []
    query = _records().where(assets.c.fault.is_not(None), assets.c.store.in_(stores), assets.c.id > last, *is_named)
    return [(row.id, _record(row)) for row in connection.execute(query.order_by(assets.c.id).limit(_PAGE_ROWS))]


def _same_content(connection: Connection, record: Record) -> AssetKey | None:
    digest, key = record.digest, record.key
    row = connection.execute(
        select(assets.c.collection, assets.c.name)
        .where(
            assets.c.sha256 == (digest.sha256 if digest else None),
            assets.c.store == record.store,
            assets.c.fault.is_(None),
            or_(assets.c.collection != key.collection, assets.c.name != key.name),
        )
        .limit(1)
    ).first()
    return AssetKey(row.collection, Kind.ORIGINAL, row.name) if row else None
