"""Everything that the catalogue has of one original, in every kind of database."""

from typing import Any

import pytest_twisted
from sqlalchemy import URL, Connection, insert

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.details import details_of
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.records import record
from was_daemon.catalogue.schema import records
from was_daemon.catalogue.visibility import Decision, decide
from was_daemon.model.digests import Digest
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin

async_test = pytest_twisted.ensureDeferred

IDENTITY = ("main", "Fish", "a.jpg")


def enter(connection: Connection, number: int, **values: Any) -> None:
    """Enter a record of Specify's about the original."""
    key = dict(zip(("store", "collection", "name"), IDENTITY, strict=True))
    common = {"source": "fish", "number": number, "changed": 1.0, "is_removed": False}
    connection.execute(insert(records).values(**key | common | values))


@async_test
async def test_row_records_and_decision_of_an_original_are_told(url: URL) -> None:
    database = CatalogueDatabase(url)
    key, origin = AssetKey("Fish", Kind.ORIGINAL, "a.jpg"), Origin("fish.jpg", "192.0.2.9")
    await database.run(record, [Event.new(EventKind.STORED, "main", key, Digest(1, "1" * 64), origin, 1.0)])
    await database.run(enter, 7, title="The type", license="CC BY 4.0", table_number=1, is_public=True)
    await database.run(enter, 8, title="Another", is_removed=True)
    await database.run(enter, -3, is_removed=True)
    told = await database.read(details_of, IDENTITY)
    assert told.asset is not None
    assert (told.asset["file_name"], told.asset["size"], told.asset["checked"]) == ("fish.jpg", 1, 1.0)
    assert [(each["number"], each["title"], each["is_removed"]) for each in told.records] == [
        (7, "The type", False),
        (8, "Another", True),
    ]
    assert (told.decision, told.verdict) == (None, False)
    await database.run(decide, [Decision(*IDENTITY, True, "a nest", 2.0)])
    told = await database.read(details_of, IDENTITY)
    assert told.decision is not None
    assert (told.decision.reason, told.verdict) == ("a nest", True)
    await database.close()


@async_test
async def test_nothing_is_told_of_an_original_that_nobody_knows(url: URL) -> None:
    database = CatalogueDatabase(url)
    told = await database.read(details_of, ("main", "Fish", "none.jpg"))
    assert (told.asset, told.records, told.decision, told.verdict) == (None, [], None, None)
    await database.close()
