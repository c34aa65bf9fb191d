"""Statements about who may read originals, in every kind of database."""

from collections.abc import AsyncIterator

import pytest_twisted
from sqlalchemy import URL, Connection, insert, update

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import records
from was_daemon.catalogue.visibility import (
    DECISIONS,
    RECORDS,
    Decision,
    Identity,
    Position,
    Source,
    changed_after,
    decide,
    decision_about,
    decisions_after,
    records_about,
    stated_after,
    statements,
    summary,
)
from was_daemon.library.visibility import Statement

async_test = pytest_twisted.ensureDeferred


def identity(name: str) -> Identity:
    return "main", "Fish", name


def record(
    connection: Connection, number: int, name: str, is_public: bool | None, at: float = 1.0, is_removed: bool = False
) -> None:
    """Enter a record of Specify's."""
    key = dict(zip(("store", "collection", "name"), identity(name), strict=True))
    values = {"source": "fish", "number": number, "is_public": is_public, "changed": at, "is_removed": is_removed}
    connection.execute(insert(records).values(**key, **values))


def decision(name: str, is_private: bool | None, at: float = 1.0) -> Decision:
    return Decision(*identity(name), is_private, "a rare orchid: ü", at)


@pytest_twisted.async_yield_fixture
async def database(url: URL) -> AsyncIterator[CatalogueDatabase]:
    database = CatalogueDatabase(url)
    yield database
    await database.close()


@async_test
async def test_of_several_records_the_strictest_counts_and_removed_ones_do_not(database: CatalogueDatabase) -> None:
    for number, (name, is_public) in enumerate(
        [("a", True), ("b", False), ("c", None), ("d", True), ("d", False), ("e", True), ("e", None), ("A", False)]
    ):
        await database.run(record, number, name, is_public)
    await database.run(record, 100, "f", False, is_removed=True)
    await database.run(record, 101, "a", False, is_removed=True)
    found = await database.read(statements, [identity(name) for name in "abcdefg"])
    assert [found[identity(name)] for name in "abcdefg"] == [
        Statement.PUBLIC,
        Statement.PRIVATE,
        Statement.UNDECIDED,
        Statement.PRIVATE,
        Statement.UNDECIDED,
        None,
        None,
    ]
    assert await database.read(records_about, identity("d")) == [("fish", 3, True), ("fish", 4, False)]


@async_test
async def test_a_decision_counts_until_it_is_taken_back(database: CatalogueDatabase) -> None:
    await database.run(record, 1, "a", True)

    async def counting() -> Statement | None:
        return (await database.read(statements, [identity("a")]))[identity("a")]

    await database.run(decide, [decision("a", True)])
    assert await counting() is Statement.PRIVATE_BY_HAND
    found = await database.read(decision_about, identity("a"))
    assert found and (found.is_private, found.reason) == (True, "a rare orchid: ü")
    await database.run(decide, [decision("a", False)])
    assert await counting() is Statement.PUBLIC_BY_HAND
    await database.run(decide, [decision("a", None)])
    assert await counting() is Statement.PUBLIC
    assert await database.read(decision_about, identity("a")) is None
    assert await database.read(decisions_after, 0, 10) == ([], None)


@async_test
async def test_each_decision_is_later_than_all_before_whatever_the_clocks_say(database: CatalogueDatabase) -> None:
    await database.run(decide, [decision("a", True, at=1000.0), decision("b", True, at=5.0)])
    await database.run(decide, [decision("a", False, at=2.0)])
    found, last = await database.read(decisions_after, 0, 10)
    assert ([each.name for each in found], last) == (["a", "b"], None)
    times = {each.name: each.at for each in found}
    assert 1000 < times["b"] < times["a"] < 1001


@async_test
async def test_all_statements_are_read_in_pages(database: CatalogueDatabase) -> None:
    for number in range(7):
        await database.run(record, number, f"{number}", number % 2 == 0, is_removed=number == 3)
    await database.run(decide, [decision("5", False), decision("6", True), decision("0", None)])
    assert await pages(database, RECORDS) == {identity(str(each)): each % 2 == 1 for each in (0, 1, 2, 4, 5, 6)}
    assert await pages(database, DECISIONS) == {identity("5"): False, identity("6"): True}


async def pages(database: CatalogueDatabase, source: Source) -> dict[Identity, bool | None]:
    """Whether originals are private, as pages of two rows say."""
    said: dict[Identity, bool | None] = {}
    last: int | None = 0
    while last is not None:
        found, last = await database.read(stated_after, source, last, 2)
        assert len(found) <= 2
        said |= {each: statement.verdict for each, statement in found}
    return said


@async_test
async def test_changes_are_read_in_the_order_of_their_times(database: CatalogueDatabase) -> None:
    for number in range(5):
        await database.run(record, number, f"{number}", True, at=10.0 - number // 2)
    await database.run(record, 9, "0", False, at=1.0)
    found: list[dict[Identity, Statement | None]] = []
    position: Position | None = Position(9.0)
    while position:
        page, position = await database.read(changed_after, RECORDS, position, 2)
        found.append(page)
    # Of an original that was touched, its other records count, too.
    assert found == [
        {identity("2"): Statement.PUBLIC, identity("3"): Statement.PUBLIC},
        {identity("0"): Statement.PRIVATE, identity("1"): Statement.PUBLIC},
        {},
    ]


@async_test
async def test_the_summary_differs_whenever_a_row_changes(database: CatalogueDatabase) -> None:
    assert (await database.read(summary, RECORDS, 5.0)).last == 5.0
    await database.run(record, 1, "a", True, at=10.0)
    await database.run(record, 2, "b", True, at=20.0)
    before = await database.read(summary, RECORDS, 5.0)
    assert before == await database.read(summary, RECORDS, 5.0)

    def change(connection: Connection) -> None:
        # By a daemon whose clock is behind.
        connection.execute(update(records).where(records.c.number == 1).values(is_public=False, changed=19.0))

    await database.run(change)
    assert await database.read(summary, RECORDS, 5.0) != before
