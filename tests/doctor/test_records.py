"""A catalogue that was lost, replaced by an old one, or damaged, beside stores that have originals."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import pytest_twisted
from sqlalchemy import URL, insert

from tests.support.cli import write_config
from tests.support.examined import bad, only, patient
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.schema import assets
from was_daemon.doctor import databases
from was_daemon.doctor.findings import Finding, State
from was_daemon.model.keys import AssetKey, Kind

NAMES = [f"felis-{number}.jpg" for number in range(5)]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    originals = tmp_path / "store/originals"
    originals.mkdir(parents=True)
    for name in NAMES:
        (originals / name).write_bytes(b"felis")
    stores = {"main": {"plugin": "filesystem", "path": tmp_path / "store"}}
    return write_config(tmp_path, stores, catalogue={"path": tmp_path / "catalogue.sqlite"})


async def found_in(config: Path) -> Sequence[Finding]:
    examined = patient(config)
    try:
        return await databases.look(examined)
    finally:
        for store in examined.stores.values():
            await store.close()


async def record(config: Path, *names: str) -> None:
    database = CatalogueDatabase(URL.create("sqlite", database=str(config.with_name("catalogue.sqlite"))))
    rows = [{"store": "main", "collection": "", "name": name, "changed": 1.0} for name in names]
    await database.run(lambda connection: connection.execute(insert(assets), rows) if rows else None)
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_catalogue_that_was_made_anew_is_told_and_how_it_is_filled(config: Path) -> None:
    await record(config)
    finding = only(await found_in(config), State.WARNING)
    assert "of 5 originals in store main, it has none" in finding.message
    assert str(finding.remedy).startswith(f"was-daemon catalogue rebuild --config {config} enters them")
    assert f"cp BACKUP {config.parent}/catalogue.sqlite" in str(finding.remedy)


@pytest_twisted.ensureDeferred
async def test_a_catalogue_that_is_gone_before_the_start_is_told_and_not_made(config: Path) -> None:
    assert "it has none" in only(await found_in(config), State.WARNING).message
    assert not config.with_name("catalogue.sqlite").exists()


@pytest_twisted.ensureDeferred
async def test_a_catalogue_is_old_if_it_lacks_most_of_the_originals(config: Path) -> None:
    await record(config, NAMES[0])
    assert "it has only 1" in only(await found_in(config), State.WARNING).message
    await record(config, *NAMES[1:3])
    assert bad(await found_in(config)) == []


@pytest_twisted.ensureDeferred
async def test_what_is_in_the_journal_is_not_lost(config: Path) -> None:
    journal = Journal(config.with_name("catalogue.journal.sqlite"))
    for name in NAMES:
        await journal.begin(Event.new(EventKind.STORED, "main", AssetKey("", Kind.ORIGINAL, name)))
    assert bad(await found_in(config)) == []
    await journal.close()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("name", ["catalogue", "catalogue.journal"])
async def test_the_remedy_of_a_damaged_file_replaces_it(config: Path, name: str) -> None:
    await record(config, *NAMES)
    file = config.with_name(f"{name}.sqlite")
    file.write_bytes(b"no database at all" * 1000)
    finding = only(await found_in(config))
    assert f"mv {file} {file}.broken" in str(finding.remedy)
    assert str(finding.remedy).endswith(f"was-daemon catalogue rebuild --config {config}")


@pytest_twisted.ensureDeferred
async def test_pages_of_the_catalogue_that_are_damaged_below_its_beginning_are_told(config: Path) -> None:
    await record(config, *NAMES)
    file = config.with_name("catalogue.sqlite")
    content = file.read_bytes()
    file.write_bytes(content[:8192] + bytes(len(content) - 8192))
    assert "malformed" in only(await found_in(config)).message
