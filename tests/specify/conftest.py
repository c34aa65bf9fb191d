"""A server with databases of Specify, and databases of all kinds for the catalogue."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from sqlalchemy import URL

from tests.catalogue.conftest import server, url  # noqa: F401  # fixtures
from tests.support.databases import mariadb
from tests.support.specify import Specify, new_specify
from was_daemon.catalogue.database import CatalogueDatabase


@pytest.fixture(scope="session")
def specify_server() -> Iterator[URL]:
    """MariaDB for databases of Specify."""
    with mariadb() as address:
        yield address


@pytest.fixture
def specify(specify_server: URL) -> Specify:
    """An empty database of Specify 7."""
    return new_specify(specify_server)


@pytest_twisted.async_yield_fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[CatalogueDatabase]:
    """The database of a catalogue."""
    database = CatalogueDatabase(URL.create("sqlite", database=str(tmp_path / "catalogue.sqlite")))
    yield database
    await database.close()
