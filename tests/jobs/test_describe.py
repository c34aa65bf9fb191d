"""Describing originals that are in the catalogue, when stores, workers or the database are not there."""

from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path

import pytest_twisted
from sqlalchemy import URL, Connection, select

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.describing import describe, undescribed
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.schema import assets
from was_daemon.jobs.describe import Describer
from was_daemon.library.spool import Spool
from was_daemon.model.digests import Digest
from was_daemon.model.errors import AssetError, Interrupted, Overloaded, StoreUnavailable
from was_daemon.model.facts import FACTS_VERSION, Facts
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred


class StoreThatIsDown(MemoryStore):
    """A store that answers nothing."""

    async def stat(self, key: AssetKey) -> AssetStat:
        raise StoreUnavailable("the store is down")


class Reader:
    """Tells how long a file is, or fails as a pool of workers does."""

    def __init__(self) -> None:
        self.error: AssetError | None = None
        self.read_names: list[str] = []

    async def read(self, source: FileIO, name: str) -> Facts:
        self.read_names.append(name)
        if self.error:
            raise self.error
        return Facts("text/plain", width=len(source.read()))


class Museum:
    """A catalogue of the originals in two stores."""

    def __init__(self, directory: Path) -> None:
        url = URL.create("sqlite", database=str(directory / "catalogue.sqlite"))
        self.catalogue = Catalogue(CatalogueDatabase(url), Journal(directory / "journal.sqlite"))
        self.main, self.reader = MemoryStore(), Reader()
        self.spool = Spool(directory / "spool", 1 << 20, Metrics())
        stores = {"main": self.main, "down": StoreThatIsDown()}
        self.describer = Describer(self.catalogue, stores, self.spool, self.reader, 60.0)  # type: ignore[arg-type]

    async def record(self, store: str, name: str, kind: EventKind = EventKind.STORED) -> None:
        key = AssetKey("", Kind.ORIGINAL, name)
        await self.main.write(key, chunked(name.encode()), len(name))
        await self.catalogue.journal.add(Event.new(kind, store, key, Digest(len(name), "1" * 64)))
        await self.catalogue.move_all()

    async def widths(self) -> dict[str, int | None]:
        def rows(connection: Connection) -> dict[str, int | None]:
            query = select(assets.c.name, assets.c.width).where(assets.c.description == FACTS_VERSION)
            return {row.name: row.width for row in connection.execute(query)}

        return await self.catalogue.read(rows)


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path) -> AsyncIterator[Museum]:
    museum = Museum(tmp_path)
    yield museum
    await museum.spool.close()
    await museum.catalogue.close()


@async_test
async def test_a_store_that_is_down_does_not_keep_others_from_being_described(museum: Museum) -> None:
    for number in range(30):
        await museum.record("down", f"down{number}")
    await museum.record("main", "main")
    while await museum.describer.describe_some():
        pass
    # It is left alone for a while, so that the next looks find the others.
    while not await museum.widths():
        assert await museum.describer.describe_some()
    assert await museum.widths() == {"main": 4}
    assert not await museum.describer.describe_some()


@async_test
async def test_too_much_work_for_the_workers_is_no_fault_of_the_file(museum: Museum) -> None:
    await museum.record("main", "a")
    museum.reader.error = Overloaded("too many thumbnails are being made")
    assert not await museum.describer.describe_some()
    assert await museum.widths() == {}


@async_test
async def test_a_file_whose_workers_are_killed_twice_is_not_tried_for_ever(museum: Museum) -> None:
    await museum.record("main", "a")
    museum.reader.error = Interrupted("the processes that tried to read the file were ended; try again later")
    assert not await museum.describer.describe_some()
    assert await museum.widths() == {}
    assert await museum.describer.describe_some()
    assert await museum.widths() == {"a": None}


@async_test
async def test_what_is_gone_counts_as_described(museum: Museum) -> None:
    await museum.record("main", "a")
    await museum.main.delete(AssetKey("", Kind.ORIGINAL, "a"))
    assert await museum.describer.describe_some()
    assert await museum.widths() == {"a": None}
    assert not await museum.describer.describe_some()


@async_test
async def test_what_was_found_in_the_content_before_is_not_entered(museum: Museum) -> None:
    await museum.record("main", "a")
    (row,) = await museum.catalogue.read(undescribed, ["main"], 10)
    await museum.record("main", "a", EventKind.REPLACED)
    await museum.catalogue.run(describe, [(row, Facts("image/png", 5))])
    assert await museum.widths() == {}
    assert await museum.describer.describe_some()
    assert await museum.widths() == {"a": 1}


@async_test
async def test_each_original_is_read_once(museum: Museum) -> None:
    for number in range(25):
        await museum.record("main", f"{number}")
    while await museum.describer.describe_some():
        pass
    assert sorted(museum.reader.read_names) == sorted(f"{number}" for number in range(25))
