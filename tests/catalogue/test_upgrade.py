"""Catalogues and journals that other versions of the daemon have made."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, create_engine, select, text

import was_daemon.catalogue
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.schema import assets, metadata
from was_daemon.catalogue.searching import find
from was_daemon.model.digests import Digest
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.folding import folded
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin
from was_daemon.model.search import Pattern, Search

FIRST_ROW = (
    "INSERT INTO assets (store, collection, name, changed, size, sha256, file_name) "
    "VALUES ('main', '', 'Grüße.JPG', 1.5, 3, 'abc', 'IMG_1.JPG')"
)
FIRST_JOURNAL = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    store TEXT NOT NULL, collection TEXT NOT NULL, name TEXT NOT NULL,
    size INTEGER, sha256 TEXT, md5 TEXT, file_name TEXT, address TEXT
);
CREATE TABLE changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, process TEXT NOT NULL,
    store TEXT NOT NULL, collection TEXT NOT NULL, name TEXT NOT NULL
);
INSERT INTO changes VALUES (NULL, 'killed', 'main', '', 'c.jpg');
INSERT INTO events VALUES (NULL, 'one', 1.5, 'stored', 'main', '', 'a.jpg', 3, 'abc', 'def', 'IMG_1.JPG', '192.0.2.7');
"""


def differences(connection: Connection) -> list[Any]:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def make_first_form(url: URL) -> None:
    """Make the tables of the first version, with an original in them."""
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir()
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(was_daemon.catalogue.__file__).parent / "migrations"))
        command.upgrade(config, "0001")
        connection.execute(text(FIRST_ROW))
    engine.dispose()


@pytest_twisted.ensureDeferred
async def test_the_tables_of_the_first_version_are_completed_and_searched(url: URL) -> None:
    make_first_form(url)
    database = CatalogueDatabase(url)
    assert await database.run(differences) == []
    for search in Search(name=Pattern(folded("GRÜSSE.jpg"))), Search(file_name=Pattern(folded("img_*"))):
        page = await database.read(find, search, None, 10)
        assert [row["name"] for row in page.rows] == ["Grüße.JPG"]
    facts = select(assets.c.description, assets.c.checked)
    assert await database.read(lambda connection: connection.execute(facts).one()) == (0, 1.5)
    await database.close()


@pytest_twisted.ensureDeferred
async def test_tables_that_have_all_of_a_later_step_already_stay_as_they_are(url: URL) -> None:
    for _ in range(2):
        database = CatalogueDatabase(url)
        assert await database.run(differences) == []
        await database.run(
            lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        )
        await database.close()


@pytest_twisted.ensureDeferred
async def test_the_tables_of_a_later_version_are_left_alone_and_the_reason_is_told(url: URL) -> None:
    database = CatalogueDatabase(url)
    await database.run(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await database.close()
    later = CatalogueDatabase(url)
    for step in (later.check, lambda: later.run(differences)):
        with pytest.raises(StoreUnavailable) as raised:
            await step()
        assert "a later version of the daemon" in raised.value.reason
    await later.close()


@pytest_twisted.ensureDeferred
async def test_a_journal_of_the_first_version_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(FIRST_JOURNAL)
    journal = Journal(path)
    key = AssetKey("", Kind.ORIGINAL, "b.jpg")
    new = Event.new(EventKind.STORED, "main", key, Digest(3, "abc", "def"), Origin("b.jpg", None, "/scans/b.jpg"))
    await journal.complete([(await journal.begin(new), new)])
    (_, first), (_, second) = await journal.events(10)
    assert (first.key.name, first.origin) == ("a.jpg", Origin("IMG_1.JPG", "192.0.2.7"))
    assert second == new
    (unsettled,) = await journal.interrupted()
    assert (unsettled.event.key.name, unsettled.event.kind) == ("c.jpg", EventKind.FOUND)
    assert unsettled.event.at == pytest.approx(time.time(), abs=60)
    await journal.close()
