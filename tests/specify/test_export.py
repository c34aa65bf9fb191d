"""Exports of Specify's attachments, as people and programs write them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import URL, make_url

from tests.support.needs import require
from tests.support.specify import PASSWORD, SPECIFY_6, SPECIFY_7, new_specify
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.config.settings import SpecifySettings
from was_daemon.specify.attachments import Attachment
from was_daemon.specify.export import BadExport, Export
from was_daemon.specify.reader import TooFewRows, read_export
from was_daemon.specify.records import Source

async_test = pytest_twisted.ensureDeferred


async def loaded(path: Path) -> tuple[Export, list[Attachment]]:
    export = Export(path)
    try:
        await export.load()
        return export, [row async for page in export.pages() for row in page.rows]
    finally:
        await export.close()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # A query of Specify 7, with the captions of its fields.
        (
            '\ufeff"Attachment Location","Orig Filename","Is Public"\r\n"ä.jpg","Käfer, groß.jpg","False"\r\n',
            {"location": "ä.jpg", "file_name": "Käfer, groß.jpg", "is_public": False},
        ),
        # A query on another table names the way.
        (
            "id,Collection Object Attachments - Attachment - Attachment Location\n7,ä.jpg\n",
            {"number": 7, "location": "ä.jpg"},
        ),
        (
            "attachment_id;Attachment_Location;Licence\n7;ä.jpg;CC BY\n",
            {"number": 7, "location": "ä.jpg", "license": "CC BY"},
        ),
        # mysql --batch, and SELECT ... INTO OUTFILE with a line of headers.
        (
            "AttachmentID\tAttachmentLocation\tTitle\tIsPublic\tTimestampCreated\n"
            '7\tä.jpg\ta "b"\\tc\\\\\t1\t2024-05-06 07:08:09\n',
            {
                "number": 7,
                "location": "ä.jpg",
                "title": 'a "b"\tc\\',
                "is_public": True,
                "created": "2024-05-06 07:08:09",
            },
        ),
        ("AttachmentID\tAttachmentLocation\tTitle\n7\t\\N\tNULL\n", {"number": 7, "location": None, "title": None}),
        ("location\n\nä.jpg\n", {"location": "ä.jpg"}),
    ],
)
@async_test
async def test_columns_are_found_by_what_people_call_them(tmp_path: Path, text: str, wanted: dict[str, Any]) -> None:
    (tmp_path / "file").write_text(text, "utf-8", newline="")
    export, (row,) = await loaded(tmp_path / "file")
    assert {name: getattr(row, name) for name in wanted} == wanted
    assert export.columns.keys() == wanted.keys()


@pytest.mark.parametrize("table", [SPECIFY_6, SPECIFY_7], ids=["Specify 6", "Specify 7"])
@async_test
async def test_what_mysql_prints_is_understood(tmp_path: Path, specify_server: URL, table: str) -> None:
    client = shutil.which("mariadb")
    require(client, "MariaDB's client")
    specify = new_specify(specify_server, table, charset="utf8mb4")
    specify.add("a.jpg", OrigFilename="Tab\there, line\nthere, \\ and Käfer", IsPublic=True)
    specify.add(None, IsPublic=False)
    url = make_url(specify.reader)
    where = ["-h", "127.0.0.1", "-P", str(url.port), "-u", url.username, url.database]
    options = ["--default-character-set=utf8mb4", "--batch", "-e", "SELECT * FROM attachment"]
    with (tmp_path / "file").open("wb") as file:
        subprocess.run([client, *where, *options], env={"MYSQL_PWD": PASSWORD}, stdout=file, check=True)  # noqa: ASYNC221
    _, (first, second) = await loaded(tmp_path / "file")
    assert (first.number, first.location, first.is_public) == (1, "a.jpg", True)
    assert first.file_name == "Tab\there, line\nthere, \\ and Käfer"
    assert (first.table_number, first.created) == (1, "2024-05-06 07:08:09")
    assert (second.number, second.location, second.is_public) == (2, None, False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no column of the file is called AttachmentLocation; its first line is: nothing"),
        (b"Title,Nr\na,b\n", "its first line is: Title, Nr"),
        ("AttachmentLocation\nä.jpg\n".encode("latin-1"), "is not in UTF-8"),
        ("AttachmentLocation\na.jpg\n".encode("utf-16"), "is not in UTF-8"),
        *(
            (
                f"AttachmentID,AttachmentLocation\n2,b.jpg\n{number},a.jpg\n".encode(),
                "row 3: .* cannot be the AttachmentID",
            )
            for number in ("x", "", "0", "-1", "1.0", "1_0", "9" * 20, "9" * 5000)
        ),
        (b"AttachmentID,AttachmentLocation,TableID\n2,b.jpg,99999999999\n", "row 2: .* cannot be the TableID"),
        (b'AttachmentID,AttachmentLocation\n1,"a.jpg\n2,b.jpg\n', "unexpected end of data"),
    ],
)
@async_test
async def test_a_file_that_is_no_export_is_told_why(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BadExport, match=words):
        await loaded(tmp_path / "file")


@async_test
async def test_an_export_does_for_the_catalogue_what_the_database_does(
    tmp_path: Path, catalogue: CatalogueDatabase
) -> None:
    source, settings = Source("fish", "main", ""), SpecifySettings()

    async def read(*lines: str) -> int:
        (tmp_path / "file").write_text("\n".join(["AttachmentID,AttachmentLocation", *lines]))
        export = Export(tmp_path / "file")
        try:
            await export.load()
            return await read_export(catalogue, source, settings, export)
        finally:
            await export.close()

    rows = [f"{number},{number}.jpg" for number in range(20, 0, -1)]
    assert await read(*rows) == 20
    # A query that joins tables repeats some.
    assert await read(*rows, *rows[:3]) == 0
    assert await read(*rows[1:]) == 1
    with pytest.raises(TooFewRows):
        await read(*rows[10:])
    (tmp_path / "file").write_text("AttachmentLocation\na.jpg\n")
    export = Export(tmp_path / "file")
    await export.load()
    with pytest.raises(BadExport, match="no column AttachmentID"):
        await read_export(catalogue, source, settings, export)
    await export.close()
