"""The quarantine of orphans, where files could be lost."""

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from sqlalchemy import URL

from tests.support.slow import slow_but
from tests.support.specify import Specify, new_specify
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.records import record
from was_daemon.config.secret_files import SecretFile
from was_daemon.config.settings import SpecifySettings
from was_daemon.jobs.reconcile import quarantine
from was_daemon.jobs.reconcile.collect import Collector
from was_daemon.jobs.reconcile.findings import Finding, Findings
from was_daemon.jobs.reconcile.quarantine import Quarantine, TooManyOrphans
from was_daemon.jobs.reconcile.reconciler import Reconciler
from was_daemon.jobs.reconcile.worktable import Worktable
from was_daemon.library.collections import Place
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.lookup import find_stat
from was_daemon.specify.reader import SpecifyReader, TooFewRows
from was_daemon.specify.records import Source
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.testing.memory import MemoryStore

async_test = pytest_twisted.ensureDeferred

DAY = 24 * 3600
MIN_AGE = 30 * DAY
CONTENT = b"content"


class AgedStore(MemoryStore):
    """A store whose originals were changed when a test says."""

    def put(self, directory: str, name: str, days: float | None = 100) -> None:
        """Store an original, which is so many days old; None for a store that does not know."""
        modified = 0.0 if days is None else time.time() - days * DAY
        stat = AssetStat(len(CONTENT), modified, f"version {len(self._assets)} {modified}")
        self._assets[AssetKey(directory, Kind.ORIGINAL, name)] = MemoryReader(CONTENT, stat)


class Museum:
    """Collections in a store, databases of Specify, and a quarantine of the orphans."""

    def __init__(self, catalogue: CatalogueDatabase, directory: Path) -> None:
        self.catalogue = catalogue
        self.directory = directory
        self.store = AgedStore()
        self.places = [Place(each, self.store, self.store, "main") for each in ("Fish", "Birds", "Plants")]
        self.readers: list[SpecifyReader] = []
        self.worktables: list[Worktable] = []
        self.found: list[Finding] = []
        self.moved: list[str] = []

    def read(self, specify: Specify, collection: str, **values: Any) -> None:
        """Have a database, whose attachments are in a collection, read from now on."""
        settings = specify.settings(self.directory, **values)
        settings["password_file"] = SecretFile(settings["password_file"])
        source = Source(collection.lower(), "main", collection)
        self.readers.append(SpecifyReader(source, SpecifySettings(**settings), self.catalogue))

    async def compare(self, limit: float = 1.0, min_age: float = MIN_AGE) -> Quarantine:
        """Compare, and return the quarantine of what was found."""
        began = time.time()
        for reader in self.readers:
            await reader.read(whole=True)
        worktable = Worktable()
        self.worktables.append(worktable)
        collector = Collector(worktable, self.places)
        await collector.recorded(self.catalogue)
        await collector.stored()
        await collector.known(self.catalogue)
        await worktable.index()
        findings = Findings(worktable, self.places)
        sources = [reader.source for reader in self.readers]
        covered = [i for i, place in enumerate(self.places) if place.directory in {each.collection for each in sources}]
        reconciler = Reconciler(findings, {each.name for each in sources}, covered, time.time() - min_age, self)
        await reconciler.run()
        return Quarantine(reconciler, collector, self.catalogue, self.readers, self._move, limit, began, self)

    async def _move(self, key: AssetKey, note: str, version: AssetStat) -> bool:
        assert note == "in no record of Specify"
        if await find_stat(self.store, key) != version:
            return False
        await self.store.delete(key)
        return True

    def find(self, finding: Finding) -> None:
        self.found.append(finding)

    def move(self, store: str, file: str) -> None:
        self.moved.append(file)

    def orphans(self) -> list[str]:
        return [each.file for each in self.found if each.kind == "orphaned"]

    async def close(self) -> None:
        for part in (*self.readers, *self.worktables):
            await part.close()


@pytest_twisted.async_yield_fixture
async def museum(catalogue: CatalogueDatabase, tmp_path: Path) -> AsyncIterator[Museum]:
    museum = Museum(catalogue, tmp_path)
    yield museum
    await museum.close()


def fill(store: AgedStore, *names: str) -> None:
    for name in names:
        store.put("Fish", name)


async def moved(museum: Museum) -> Sequence[str]:
    await (await museum.compare()).run()
    assert sorted(museum.moved) == sorted(museum.orphans())
    return museum.moved


@pytest.fixture
def fish(museum: Museum, specify: Specify) -> Specify:
    """A database with three attachments, and a store with their originals and an orphan."""
    museum.read(specify, "Fish")
    fill(museum.store, "a.jpg", "b.jpg", "c.jpg", "orphan.jpg")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        specify.add(name)
    return specify


@async_test
async def test_an_original_in_no_record_is_moved_and_no_other(museum: Museum, fish: Specify) -> None:
    assert await moved(museum) == ["Fish/originals/orphan.jpg"]
    assert [key.name async for key in museum.store.list("Fish", Kind.ORIGINAL)] == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize("days", slow_but([29.9], [0, 29.9]))
@async_test
async def test_an_upload_that_specify_has_not_recorded_yet_stays(museum: Museum, fish: Specify, days: float) -> None:
    museum.store.put("Fish", "orphan.jpg", days)
    assert await moved(museum) == []


@async_test
async def test_an_original_of_unknown_age_is_reported_and_stays(museum: Museum, fish: Specify) -> None:
    museum.store.put("Fish", "orphan.jpg", None)
    await (await museum.compare()).run()
    assert [(each.file, each.detail) for each in museum.found] == [("Fish/originals/orphan.jpg", "of unknown age")]
    assert museum.moved == []


@pytest.mark.parametrize("name", ["orphan.jpg", "ORPHAN.jpg"])
@async_test
async def test_a_record_in_another_collection_or_database_protects(
    museum: Museum, fish: Specify, specify_server: URL, name: str
) -> None:
    birds = new_specify(specify_server)
    birds.add(name)
    museum.read(birds, "Birds")
    await (await museum.compare()).run()
    assert (museum.orphans(), museum.moved) == ([], [])
    (found,) = museum.found
    assert (found.kind, found.source, found.table) == ("elsewhere", "birds", "collectionobject")
    assert found.detail == "the original is Fish/originals/orphan.jpg"


FORMS = {
    "Ä.JPG": "a\u0308.jpg",
    "Ã¤.jpg": "ä.jpg",
    "ü.jpg": "u\u0308.jpg",
    "STRASSE.jpg": "straße.jpg",
    " before.jpg": "before.jpg",
    "after.jpg\r\n": "after.jpg",
    "no\u00a0break.jpg": "no break.jpg",
    "folder/path.jpg": "path.jpg",
    "D:\\folder\\Path of Windows.jpg": "path of windows.jpg",
    "per%20cent.jpg": "per cent.jpg",
    "https://assets.example.org/fileget?coll=Fish&filename=a%26%C3%B6+b.jpg&type=O": "a&ö b.jpg",
    "https://assets.example.org/static/originals/url.jpg?v=1": "url.jpg",
    "Ko?i?ka.jpg": "Kočička.jpg",
    "?odz.jpg": "Łodz.jpg",
}
"""Locations that Specify has, and the names of their originals."""


@async_test
async def test_a_record_with_the_name_in_another_form_protects(museum: Museum, specify: Specify) -> None:
    museum.read(specify, "Fish")
    fill(museum.store, *FORMS.values(), "orphan.jpg", "Ödland.jpg")
    for location in FORMS:
        specify.add(location)
    await (await museum.compare()).run()
    assert sorted(museum.moved) == ["Fish/originals/orphan.jpg", "Fish/originals/Ödland.jpg"]
    assert sorted(museum.orphans()) == museum.moved


@async_test
async def test_collections_of_which_no_database_is_known_are_left_alone(museum: Museum, fish: Specify) -> None:
    museum.store.put("Plants", "daisy.jpg")
    assert await moved(museum) == ["Fish/originals/orphan.jpg"]


@async_test
async def test_a_record_that_is_gone_for_less_than_the_least_age_protects(museum: Museum, fish: Specify) -> None:
    fish.add("orphan.jpg")
    await (await museum.compare()).run()
    fish.run("DELETE FROM attachment WHERE AttachmentLocation = 'orphan.jpg'")
    museum.readers[0]._settings = attrs.evolve(museum.readers[0]._settings, min_share=0.1)
    assert await moved(museum) == []
    await (await museum.compare(min_age=0)).run()
    assert museum.moved == ["Fish/originals/orphan.jpg"]


@async_test
async def test_the_name_that_a_record_had_within_the_least_age_protects(museum: Museum, fish: Specify) -> None:
    await (await museum.compare()).run()
    museum.moved.clear()
    museum.found.clear()
    fish.run("UPDATE attachment SET AttachmentLocation = 'mistake.jpg' WHERE AttachmentLocation = 'a.jpg'")
    assert await moved(museum) == []


@async_test
async def test_what_somebody_has_brought_back_from_the_trash_stays_for_the_least_age(
    museum: Museum, fish: Specify
) -> None:
    key = AssetKey("Fish", Kind.ORIGINAL, "orphan.jpg")
    await museum.catalogue.run(record, [Event.new(EventKind.RESTORED, "main", key, at=time.time() - 29 * DAY)])
    await (await museum.compare()).run()
    assert (museum.orphans(), museum.moved) == (["Fish/originals/orphan.jpg"], [])


@async_test
async def test_nothing_is_moved_when_one_database_cannot_be_reached(
    museum: Museum, fish: Specify, specify_server: URL
) -> None:
    museum.read(Specify(fish.url, fish.reader.replace(f":{fish.url.port}", ":1")), "Birds")
    with pytest.raises(StoreUnavailable):
        await museum.compare()


@async_test
async def test_nothing_is_moved_when_a_database_ends_after_the_comparison(museum: Museum, fish: Specify) -> None:
    found = await museum.compare()
    fish.run("DROP TABLE attachment")
    with pytest.raises(StoreUnavailable):
        await found.run()
    assert museum.moved == []


@async_test
async def test_nothing_is_moved_when_a_database_is_emptied_before_or_meanwhile(museum: Museum, fish: Specify) -> None:
    found = await museum.compare()
    fish.run("DELETE FROM attachment WHERE AttachmentID > 1")
    with pytest.raises(TooFewRows):
        await found.run()
    with pytest.raises(TooFewRows):
        await museum.compare()
    fish.run("DELETE FROM attachment")
    with pytest.raises(TooFewRows):
        await museum.compare()
    assert museum.moved == []


@async_test
async def test_nothing_is_moved_when_many_would_be(museum: Museum, fish: Specify) -> None:
    with pytest.raises(TooManyOrphans, match=r"1 of 4 originals in Fish of store main are in no record"):
        await (await museum.compare(limit=0.2)).run()
    assert museum.moved == []
    await (await museum.compare(limit=0.25)).run()
    assert museum.moved == ["Fish/originals/orphan.jpg"]


@async_test
async def test_what_is_recorded_after_the_comparison_stays(museum: Museum, fish: Specify) -> None:
    found = await museum.compare()
    fish.add("orphan.jpg")
    await found.run()
    assert (museum.orphans(), museum.moved) == (["Fish/originals/orphan.jpg"], [])


@async_test
async def test_records_are_read_again_while_many_are_moved(
    museum: Museum, fish: Specify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_FRESH_SECONDS", 0.0)
    museum.store.put("Fish", "second.jpg")
    found = await museum.compare()

    async def move(key: AssetKey, note: str, version: AssetStat) -> bool:
        fish.add("second.jpg")
        return True

    await attrs.evolve(found, move=move).run()
    assert museum.moved == ["Fish/originals/orphan.jpg"]


@async_test
async def test_what_is_replaced_after_the_comparison_stays(museum: Museum, fish: Specify) -> None:
    found = await museum.compare()
    museum.store.put("Fish", "orphan.jpg", 0)
    await found.run()
    assert museum.moved == []


@async_test
async def test_what_somebody_else_deletes_meanwhile_is_no_error(museum: Museum, fish: Specify) -> None:
    found = await museum.compare()
    await museum.store.delete(AssetKey("Fish", Kind.ORIGINAL, "orphan.jpg"))
    await found.run()
    assert museum.moved == []


@async_test
async def test_what_is_replaced_while_it_is_looked_at_is_not_reported_as_moved(museum: Museum, fish: Specify) -> None:
    async def refuse(key: AssetKey, note: str, version: AssetStat) -> bool:
        return False

    await attrs.evolve(await museum.compare(), move=refuse).run()
    assert museum.moved == []


@async_test
async def test_a_store_that_fails_ends_the_quarantine(museum: Museum, fish: Specify) -> None:
    async def fail(key: AssetKey, note: str, version: AssetStat) -> bool:
        raise StoreUnavailable("no trash")

    with pytest.raises(StoreUnavailable, match="no trash"):
        await attrs.evolve(await museum.compare(), move=fail).run()
    assert museum.moved == []
