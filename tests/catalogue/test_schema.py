"""The catalogue's tables, in every kind of database."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, Table, insert, select
from twisted.internet.defer import gatherResults

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.identities import among
from was_daemon.catalogue.schema import FORM, assets, history, metadata, records, visibility
from was_daemon.model.errors import StoreUnavailable

NAMES = ["A", "a", "a ", "ä", "a\u0308", "\U0001f600", "z"]


def differences(connection: Connection) -> list[Any]:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def add(connection: Connection, *names: str) -> None:
    for name in names:
        connection.execute(insert(assets).values(store="main", collection="", name=name, changed=1.5, size=1 << 40))


def names(connection: Connection) -> list[str]:
    return list(connection.scalars(select(assets.c.name).order_by(assets.c.name)))


@pytest_twisted.ensureDeferred
async def test_migrations_end_at_the_tables_that_the_program_uses(url: URL) -> None:
    database = CatalogueDatabase(url)
    assert await database.run(differences) == []
    assert await database.read(lambda connection: MigrationContext.configure(connection).get_current_revision()) == FORM
    await database.close()


@pytest_twisted.ensureDeferred
async def test_several_daemons_may_meet_an_empty_database_at_once(url: URL) -> None:
    databases = [CatalogueDatabase(url) for _ in range(4)]
    assert await gatherResults([database.run(differences) for database in databases]) == [[]] * 4
    for database in databases:
        await database.close()


@pytest_twisted.ensureDeferred
async def test_names_that_differ_in_any_byte_are_different_and_in_the_order_of_their_bytes(url: URL) -> None:
    database = CatalogueDatabase(url)
    await database.run(add, *NAMES)
    assert await database.read(names) == sorted(NAMES, key=str.encode)
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_step_that_fails_leaves_nothing_and_names_no_secret(url: URL) -> None:
    database = CatalogueDatabase(url)
    await database.run(add, "a")
    with pytest.raises(StoreUnavailable) as raised:
        await database.run(add, "b", "a")
    assert str(raised.value) == "the catalogue cannot be used"
    assert (url.password or "no password") not in raised.value.reason
    assert await database.read(names) == ["a"]
    await database.close()


@pytest_twisted.ensureDeferred
async def test_rows_of_many_originals_are_found_by_an_index(tmp_path: Path) -> None:
    database = CatalogueDatabase(URL.create("sqlite", database=str(tmp_path / "catalogue.sqlite")))
    identities = [("main", collection, name) for collection in ("", "Fish") for name in NAMES]

    def plan(connection: Connection, table: Table) -> str:
        query = select(table.c.id).where(among(table, identities))
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())

    for table in (assets, history, records, visibility):
        assert "SCAN" not in await database.read(plan, table)
    await database.close()


@pytest_twisted.ensureDeferred
async def test_no_original_is_among_none(url: URL) -> None:
    database = CatalogueDatabase(url)
    await database.run(add, *NAMES)

    def find(connection: Connection, identities: list[tuple[str, str, str]]) -> set[str]:
        return set(connection.scalars(select(assets.c.name).where(among(assets, identities))))

    assert await database.read(find, []) == set()
    assert await database.read(find, [("main", "", "a"), ("main", "", "ä"), ("main", "x", "z")]) == {"a", "ä"}
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_step_that_collides_with_others_is_tried_again(url: URL) -> None:
    database = CatalogueDatabase(url)
    attempts: list[int] = []

    def collide_once(connection: Connection) -> None:
        attempts.append(1)
        add(connection, "a")
        if len(attempts) == 1:
            add(connection, "a")

    await database.run(collide_once)
    assert (len(attempts), await database.read(names)) == (2, ["a"])
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_check_of_a_file_writes_to_it(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    database = CatalogueDatabase(URL.create("sqlite", database=str(path)))
    await database.run(add, "a")
    with closing(sqlite3.connect(path)) as other:
        (before,) = other.execute("PRAGMA data_version").fetchone()
        await database.check()
        # A check that writes nothing does not find a full disk.
        assert other.execute("PRAGMA data_version").fetchone() != (before,)
    assert await database.read(names) == ["a"]
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_file_that_was_removed_or_replaced_is_not_used_any_more(tmp_path: Path) -> None:
    path, other = tmp_path / "catalogue.sqlite", tmp_path / "other.sqlite"
    database = CatalogueDatabase(URL.create("sqlite", database=str(path)))
    await database.run(add, "a")
    path.unlink()
    # A look at its health leaves a file without tables.
    await database.check()
    assert await database.read(names) == []
    await database.run(add, "b")
    source = CatalogueDatabase(URL.create("sqlite", database=str(other)))
    await source.run(add, "c")
    await source.close()
    other.rename(path)
    await database.check()
    assert await database.read(names) == ["c"]
    await database.run(add, "d")
    assert await database.read(names) == ["c", "d"]
    await database.close()
    assert path.stat().st_mode & 0o777 == 0o600
