"""Databases of all kinds that a catalogue may be in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.databases import mariadb, new_database, postgresql
from tests.support.slow import slow_after

SERVERS = {"postgresql": postgresql, "mariadb": mariadb}


@pytest.fixture(scope="session", params=slow_after(1, ["sqlite", "mariadb", "postgresql"]))
def server(request: pytest.FixtureRequest) -> Iterator[URL | None]:
    """A server of each kind; None for SQLite, which has none."""
    start = SERVERS.get(request.param)
    if not start:
        yield None
        return
    with start() as url:
        yield url


@pytest.fixture
def url(server: URL | None, tmp_path: Path) -> URL:
    """An empty database."""
    return (
        new_database(server) if server else URL.create("sqlite", database=str(tmp_path / "state" / "catalogue.sqlite"))
    )
