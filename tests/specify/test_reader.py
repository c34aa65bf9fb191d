"""What the catalogue keeps of a real database of Specify."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, select

from tests.support.paths import ROOT
from tests.support.silent import silent
from tests.support.slow import slow_but
from tests.support.specify import GRANTED, OLD, SPECIFY_6, Specify, new_specify
from was_daemon.catalogue import servers
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import records
from was_daemon.config.secret_files import SecretFile
from was_daemon.config.settings import SpecifySettings
from was_daemon.model.errors import StoreUnavailable
from was_daemon.specify import database
from was_daemon.specify.attachments import COLUMNS
from was_daemon.specify.reader import SpecifyReader, TooFewRows, last_time
from was_daemon.specify.records import Source

async_test = pytest_twisted.ensureDeferred

SOURCE = Source("fish", "main", "Fish")
Make = Callable[..., SpecifyReader]


@pytest_twisted.async_yield_fixture
async def readers(catalogue: CatalogueDatabase, tmp_path: Path) -> AsyncIterator[Make]:
    """A function that makes a reader of a database."""
    made = []

    def make(specify: Specify, **values: Any) -> SpecifyReader:
        settings = specify.settings(tmp_path, **values)
        settings["password_file"] = SecretFile(settings["password_file"])
        made.append(SpecifyReader(SOURCE, SpecifySettings(**settings), catalogue))
        return made[-1]

    yield make
    for reader in made:
        await reader.close()


def rows(catalogue: CatalogueDatabase, *columns: Any) -> Awaitable[list[tuple[Any, ...]]]:
    def found(connection: Connection) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(records.c.number))]

    return catalogue.read(found)


def names(catalogue: CatalogueDatabase) -> Awaitable[list[tuple[Any, ...]]]:
    return rows(catalogue, records.c.name, records.c.is_removed)


def test_the_guide_grants_what_is_read() -> None:
    guide = (ROOT / "docs" / "specify.md").read_text("utf-8")
    granted = re.search(r"GRANT SELECT \((.*?)\) ON fish\.attachment", guide, re.DOTALL)
    assert granted
    assert granted[1].split() == GRANTED.split()
    assert {column.strip() for column in granted[1].split(",")} == set(COLUMNS.values())


LOCATIONS = ["https://elsewhere.example.org/1.jpg", None, "", "../x", ".x", "a\\b", "a\nb"]

FACTS = {
    "OrigFilename": "Käfer \U0001f600.jpg",
    "Title": "A beetle",
    "TableID": 1,
    "IsPublic": False,
    "License": "CC BY 4.0",
    "CopyrightHolder": "The museum",
    "CopyrightDate": "2024",
    "Credit": "N. N.",
    "MimeType": "image/jpeg",
}


@async_test
async def test_everything_that_specify_says_of_an_attachment_is_kept(
    specify_server: URL, catalogue: CatalogueDatabase, readers: Make
) -> None:
    specify = new_specify(specify_server, charset="utf8mb4", granted=GRANTED)
    specify.add("a.jpg", **FACTS)
    assert await readers(specify).read() == 1
    columns = [column for column in records.c if column.name not in ("id", "changed")]
    (row,) = await rows(catalogue, *columns)
    assert dict(zip((column.name for column in columns), row, strict=True)) == {
        "source": "fish",
        "number": 1,
        "store": "main",
        "collection": "Fish",
        "name": "a.jpg",
        "location": None,
        "table_number": 1,
        "file_name": "Käfer \U0001f600.jpg",
        "title": "A beetle",
        "is_public": False,
        "license": "CC BY 4.0",
        "copyright_holder": "The museum",
        "copyright_date": "2024",
        "credit": "N. N.",
        "media_type": "image/jpeg",
        "created": "2024-05-06 07:08:09",
        "is_removed": False,
    }


@pytest.mark.parametrize("charset", slow_but(["latin1"], ["utf8mb4", "utf8mb3", "latin1"]))
@pytest.mark.parametrize("table", [SPECIFY_6, OLD], ids=["Specify 6", "old"])
@async_test
async def test_tables_of_earlier_versions_are_read_whatever_their_character_set(
    specify_server: URL, catalogue: CatalogueDatabase, readers: Make, table: str, charset: str
) -> None:
    specify = new_specify(specify_server, table, charset)
    specify.add("ä.jpg", OrigFilename="Käfer.jpg", IsPublic=True)
    specify.add("b.jpg", IsPublic=False)
    await readers(specify).read()
    is_known = table == SPECIFY_6
    wanted = [("ä.jpg", "Käfer.jpg", True if is_known else None), ("b.jpg", "Käfer.jpg", False if is_known else None)]
    assert await rows(catalogue, records.c.name, records.c.file_name, records.c.is_public) == wanted


@async_test
async def test_columns_may_have_character_sets_of_their_own(
    specify_server: URL, catalogue: CatalogueDatabase, readers: Make
) -> None:
    specify = new_specify(specify_server)
    for column, charset in (("Title", "latin2"), ("Credit", "cp1251"), ("License", "utf8mb4 COLLATE utf8mb4_bin")):
        specify.run(f"ALTER TABLE attachment MODIFY {column} VARCHAR(64) CHARACTER SET {charset}")
    specify.add("ä.jpg", Title="Žaba", Credit="жук", License="\U0001f600")
    reader = readers(specify)
    await reader.read()
    columns = records.c.name, records.c.title, records.c.credit, records.c.license
    assert await rows(catalogue, *columns) == [("ä.jpg", "Žaba", "жук", "\U0001f600")]
    specify.run("UPDATE attachment SET Title = 'žaba'")
    assert await reader.read() == 1


@async_test
async def test_only_what_has_changed_is_read_and_only_then_a_record_is_different(
    specify: Specify, catalogue: CatalogueDatabase, readers: Make
) -> None:
    for number in range(5):
        specify.add(f"{number}.jpg")
    reader = readers(specify)
    assert await reader.read() == 5
    before = await rows(catalogue, records.c.changed)
    assert await reader.read() == 0
    assert await reader.read(whole=True) == 0
    assert await rows(catalogue, records.c.changed) == before
    # Neither Django's update() nor SQL by hand sets a time, and both rows change in the same way.
    specify.run("UPDATE attachment SET IsPublic = FALSE WHERE AttachmentID IN (2, 3)")
    assert await reader.read() == 2
    after = await rows(catalogue, records.c.changed)
    assert [now > then for now, then in zip(after, before, strict=True)] == [False, True, True, False, False]
    specify.run("UPDATE attachment SET TimestampModified = NULL, TimestampCreated = '1999-01-01', Remarks = 'x'")
    assert await reader.read() == 5
    specify.run("UPDATE attachment SET Remarks = 'y'")
    assert await reader.read() == 0


@async_test
async def test_rows_deleted_in_specify_are_removed_and_come_back_with_it(
    specify: Specify, catalogue: CatalogueDatabase, readers: Make
) -> None:
    for number in range(20):
        specify.add(f"{number}.jpg", AttachmentID=number * 500 + 1)
    reader = readers(specify)
    await reader.read()
    specify.run("DELETE FROM attachment WHERE AttachmentID IN (501, 9501)")
    assert await reader.read() == 2
    assert [name for name, is_removed in await names(catalogue) if is_removed] == ["1.jpg", "19.jpg"]
    specify.add("1.jpg", AttachmentID=501)
    assert await reader.read() == 1
    assert [name for name, is_removed in await names(catalogue) if is_removed] == ["19.jpg"]
    # A daemon that has read nothing yet finds what others have left.
    specify.run("DELETE FROM attachment WHERE AttachmentID = 1")
    assert await readers(specify).read() == 1


@async_test
async def test_thousands_of_rows_are_read_in_pages(
    specify: Specify, catalogue: CatalogueDatabase, readers: Make
) -> None:
    specify.run(
        "INSERT INTO attachment (AttachmentLocation, OrigFilename, TableID, IsPublic, TimestampCreated)"
        " SELECT CONCAT(seq, '.jpg'), 'x', 1, 1, NOW() FROM seq_1_to_5000"
    )
    reader = readers(specify)
    assert await reader.read() == 5000
    assert len(await names(catalogue)) == 5000
    specify.run("DELETE FROM attachment WHERE AttachmentID % 1000 = 7")
    assert await reader.read() == 5


@pytest.mark.parametrize("location", slow_but([LOCATIONS[0], None], LOCATIONS))
@async_test
async def test_a_location_that_is_no_name_is_kept_as_it_is(
    specify: Specify, catalogue: CatalogueDatabase, readers: Make, location: str | None
) -> None:
    specify.add("a.jpg")
    specify.add(location)
    specify.add("b.jpg")
    assert await readers(specify).read() == 3
    wanted = [("a.jpg", None), ("", location), ("b.jpg", None)]
    assert await rows(catalogue, records.c.name, records.c.location) == wanted


@async_test
async def test_dates_and_characters_that_databases_do_not_agree_on_are_read(
    specify: Specify, catalogue: CatalogueDatabase, readers: Make
) -> None:
    specify.run("SET STATEMENT sql_mode = '' FOR INSERT INTO attachment (OrigFilename) VALUES ('a\\0b')")
    await readers(specify).read()
    assert await rows(catalogue, records.c.file_name, records.c.created) == [("a\ufffdb", None)]


@pytest.mark.parametrize(("values", "left"), [({"min_rows": 6}, 5), ({}, 0), ({"min_share": 0.8}, 3)])
@async_test
async def test_suspiciously_few_rows_change_nothing(
    specify: Specify, catalogue: CatalogueDatabase, readers: Make, values: dict[str, Any], left: int
) -> None:
    for number in range(5):
        specify.add(f"{number}.jpg")
    await readers(specify).read()
    before = await names(catalogue)
    specify.run("DELETE FROM attachment WHERE AttachmentID > :left", {"left": left})
    reader = readers(specify, **values)
    for _ in range(2):
        with pytest.raises(TooFewRows):
            await reader.read()
    assert await names(catalogue) == before


@async_test
async def test_private_files_stay_private_when_nobody_tells_any_more_what_is_public(
    specify: Specify, catalogue: CatalogueDatabase, readers: Make
) -> None:
    specify.add("a.jpg", IsPublic=False)
    reader = readers(specify)
    await reader.read()
    specify.run("ALTER TABLE attachment DROP COLUMN IsPublic")
    for each in reader, readers(specify):
        with pytest.raises(TooFewRows, match="IsPublic"):
            await each.read()
    assert await rows(catalogue, records.c.is_public) == [(False,)]
    assert await readers(specify, min_share=0.0).read() == 1
    assert await readers(specify).read() == 0


@async_test
async def test_a_quarter_that_was_deleted_by_intent_is_accepted(specify: Specify, readers: Make) -> None:
    for number in range(4):
        specify.add(f"{number}.jpg")
    await readers(specify).read()
    specify.run("DELETE FROM attachment WHERE AttachmentID = 1")
    with pytest.raises(TooFewRows, match="4"):
        await readers(specify).read()
    assert await readers(specify, min_share=0.5).read() == 1
    # The next readings compare with this one.
    assert await readers(specify).read() == 0


@pytest.mark.parametrize(
    ("table", "granted", "words"),
    [("", "", "cannot read AttachmentID"), (OLD, "AttachmentID, Title", "cannot read AttachmentLocation")],
)
@async_test
async def test_a_table_that_is_not_there_is_an_error_with_its_reason(
    specify_server: URL, readers: Make, table: str, granted: str, words: str
) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        await readers(new_specify(specify_server, table, granted=granted)).read()
    assert words in raised.value.reason or "denied" in raised.value.reason


@pytest.mark.parametrize("change", slow_but(["password", "port"], ["password", "port", "option", "password_file"]))
@async_test
async def test_a_database_that_cannot_be_reached_is_an_error_without_the_password(
    specify: Specify, readers: Make, tmp_path: Path, change: str
) -> None:
    url = specify.reader
    if change == "option":
        url += "?ssl_ca=/nowhere/ca.pem"
    if change == "port":
        url = url.replace(f":{specify.url.port}", ":1")
    reader = readers(Specify(specify.url, url))
    if change == "password":
        (tmp_path / "specify-password").write_text("wrong password")
    if change == "password_file":
        (tmp_path / "specify-password").unlink()
    with pytest.raises(StoreUnavailable, match=r"^the database of specify\.fish cannot be read$") as raised:
        await reader.read()
    assert raised.value.reason
    assert "only/to" not in raised.value.reason + str(raised.value)
    assert "wrong password" not in raised.value.reason


@async_test
async def test_a_database_that_accepts_and_says_nothing_is_given_up(
    catalogue: CatalogueDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "ANSWER_SECONDS", 0.5)
    with silent() as port:
        reader = SpecifyReader(SOURCE, SpecifySettings(url=f"mariadb://was@127.0.0.1:{port}/fish"), catalogue)
        with pytest.raises(StoreUnavailable, match=r"the database of specify\.fish cannot be read") as raised:
            await reader.read()
        await reader.close()
    assert "see whether the server hangs" in raised.value.reason


@async_test
async def test_a_large_table_is_compared_in_several_statements(
    specify: Specify, readers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUCKETS_AT_ONCE", 1)
    for number in (1, 1023, 1024, 5000):
        specify.add(f"{number}.jpg", AttachmentID=number)
    reader = readers(specify, min_share=0)
    assert (await reader.read(), reader.rows) == (4, 4)
    specify.run("UPDATE attachment SET Title = 'A beetle' WHERE AttachmentID IN (1024, 5000)")
    assert (await reader.read(), reader.rows) == (2, 4)
    specify.run("DELETE FROM attachment WHERE AttachmentID IN (1, 5000)")
    assert (await reader.read(), reader.rows) == (2, 2)


def test_the_nightly_reading_is_due_once_a_day() -> None:
    def at(*moment: int) -> datetime:
        return datetime(2026, 1, *moment, tzinfo=UTC)

    assert last_time("03:00", at(5, 4, 30)) == at(5, 3).timestamp()
    assert last_time("03:00", at(5, 2, 59)) == at(4, 3).timestamp()
    assert last_time("03:00", at(5, 3)) == at(5, 3).timestamp()
