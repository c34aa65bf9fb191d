"""What is said of an original, in every kind of database, and what it may cost an answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, insert, update
from twisted.internet.defer import Deferred

from was_daemon.catalogue import captions
from was_daemon.catalogue.captions import Captions
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import assets, records
from was_daemon.model.captions import NO_CAPTION, Caption
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind

async_test = pytest_twisted.ensureDeferred

KEY = AssetKey("Fish", Kind.ORIGINAL, "a.jpg")


@pytest_twisted.async_yield_fixture
async def database(url: URL, tmp_path: Path) -> AsyncIterator[CatalogueDatabase]:
    database = CatalogueDatabase(url)
    yield database
    await database.close()


def add_record(connection: Connection, number: int, **columns: Any) -> None:
    key = {"store": "main", "collection": "Fish", "name": "a.jpg"}
    row = {"source": "botany", "number": number, "changed": 1.0, "is_removed": False, **key, **columns}
    connection.execute(insert(records).values(**row))


def add_asset(connection: Connection, file_name: str) -> None:
    key = {"store": "main", "collection": "Fish", "name": "a.jpg"}
    connection.execute(insert(assets).values(changed=1.0, file_name=file_name, **key))


def change_title(connection: Connection, title: str) -> None:
    connection.execute(update(records).values(title=title))


@async_test
async def test_the_record_that_changed_last_counts_and_removed_ones_do_not(database: CatalogueDatabase) -> None:
    await database.run(add_record, 1, title="old", file_name="old.jpg", changed=1.0)
    await database.run(add_record, 2, title=" new ", license="CC0", created="2024-05-06 07:08:09", changed=2.0)
    await database.run(add_record, 3, title="removed", changed=3.0, is_removed=True)
    await database.run(add_asset, "C:\\scans\\Käfer.jpg")
    found = await Captions(database).find("main", KEY)
    assert found == Caption("new", "C:\\scans\\Käfer.jpg", license="CC0", created="2024-05-06 07:08:09")
    assert found.name == "Käfer.jpg"
    assert await Captions(database).find("other", KEY) == NO_CAPTION


@async_test
async def test_a_caption_is_kept_for_a_while(database: CatalogueDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Captions(database)
    await database.run(add_record, 1, title="old")
    assert (await source.find("main", KEY)).title == "old"
    await database.run(change_title, "new")
    assert (await source.find("main", KEY)).title == "old"
    monkeypatch.setattr(captions, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(captions, "_KEPT", 1)
    other = AssetKey("Fish", Kind.ORIGINAL, "other.jpg")
    await source.find("main", other)
    assert (await source.find("main", KEY)).title == "new"


class _Database:
    """A database that does not answer."""

    def __init__(self, *answers: Deferred[Caption]) -> None:
        self.answers = list(answers)

    def read(self, *_: object) -> Deferred[Caption]:
        return self.answers.pop(0)


@async_test
async def test_a_database_that_hangs_or_is_down_costs_one_answer_a_moment_and_the_next_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(captions, "_PATIENCE_SECONDS", 0.01)
    down: Deferred[Caption] = Deferred()
    down.errback(StoreUnavailable("down"))
    for first in (Deferred[Caption](), down):
        database = _Database(first)
        source = Captions(database)  # type: ignore[arg-type]
        assert await source.find("main", KEY) == NO_CAPTION
        assert await source.find("main", KEY) == NO_CAPTION
        assert database.answers == []
