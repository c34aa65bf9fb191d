"""Keeping records in a catalogue, in every kind of database."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest_twisted
from sqlalchemy import URL, Connection, select
from twisted.internet.defer import Deferred, gatherResults

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import records
from was_daemon.specify.attachments import Attachment, Page
from was_daemon.specify.reader import keep_all
from was_daemon.specify.records import FORMER_SECONDS, Source, last_reading, note_reading, records_after

async_test = pytest_twisted.ensureDeferred

SOURCE = Source("fish", "main", "Fish")


async def pages(*found: Page) -> AsyncGenerator[Page, None]:
    for page in found:
        yield page


def attachments(*numbers: int, **values: Any) -> Sequence[Attachment]:
    return [Attachment(number, f"{number}.jpg", **values) for number in numbers]


def kept(connection: Connection) -> list[tuple[Any, ...]]:
    columns = records.c.number, records.c.name, records.c.is_public, records.c.title, records.c.is_removed
    return [tuple(row) for row in connection.execute(select(*columns).order_by(records.c.number))]


@async_test
async def test_a_record_is_added_changed_removed_and_added_again(url: URL) -> None:
    database = CatalogueDatabase(url)

    async def keep(*found: Page) -> int:
        return await keep_all(database, SOURCE, pages(*found))

    assert await keep(Page(0, 10, attachments(1, 2)), Page(10, None, attachments(1 << 40))) == 3
    assert await keep(Page(0, 10, attachments(1, 2)), Page(10, None, attachments(1 << 40))) == 0
    title = "Käfer \U0001f600 " * 100
    assert await keep(Page(0, 10, attachments(1, is_public=False) + attachments(2, title=title))) == 2
    assert await keep(Page(2, None, [])) == 2
    assert await database.read(kept) == [
        (1, "1.jpg", False, None, False),
        (2, "2.jpg", None, title, True),
        (1 << 40, f"{1 << 40}.jpg", None, None, True),
    ]
    assert await keep(Page(2, None, attachments(2, title=title))) == 1
    rows = await database.read(records_after, 0, 10)
    assert [(row.number, row.is_removed) for row in rows] == [(1, False), (2, False), (1 << 40, True)]
    assert await database.read(records_after, 0, 10, rows[1].changed + 1) == []
    await database.close()


@async_test
async def test_the_former_names_of_a_record_are_those_of_removed_ones_for_a_year(url: URL) -> None:
    database = CatalogueDatabase(url)
    for name in ("a.jpg", "b.jpg", "c.jpg", "c.jpg"):
        await keep_all(database, SOURCE, pages(Page(0, None, [Attachment(7, name, is_public=True)])))
    found = await database.read(kept)
    assert sorted((name, is_removed) for _, name, _, _, is_removed in found) == [
        ("a.jpg", True),
        ("b.jpg", True),
        ("c.jpg", False),
    ]
    assert [number for number, *_ in found if number >= 0] == [7]
    for since, names in ((0, ["a.jpg", "b.jpg", "c.jpg"]), (FORMER_SECONDS + 60, ["c.jpg"])):
        await database.run(note_reading, "birds", 1, time.time() + FORMER_SECONDS + 60)
        await database.run(note_reading, "fish", 1, time.time() + since)
        assert sorted(row[1] for row in await database.read(kept)) == names
    await database.close()


@async_test
async def test_several_daemons_may_read_at_the_same_time(url: URL) -> None:
    databases = [CatalogueDatabase(url) for _ in range(4)]
    found = [Page(first, first + 50, attachments(*range(first, first + 50))) for first in range(0, 200, 50)]
    readings = [Deferred.fromCoroutine(keep_all(each, SOURCE, pages(*found))) for each in databases]
    changed = await gatherResults(readings, consumeErrors=True)
    assert max(changed) <= 200
    assert len(await databases[0].read(kept)) == 200
    for database in databases:
        await database.close()


@async_test
async def test_the_last_reading_of_each_source_is_known(url: URL) -> None:
    database = CatalogueDatabase(url)
    assert await database.read(last_reading, "fish") is None
    for rows, at in ((7, 1.5), (8, 2.5)):
        await database.run(note_reading, "fish", rows, at)
    reading = await database.read(last_reading, "fish")
    assert reading is not None
    assert (reading.rows, reading.at) == (8, 2.5)
    assert await database.read(last_reading, "birds") is None
    await database.close()
