"""Import of the California Academy's table, from dumps and from its database."""

import gzip
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, create_engine, select, text

from tests.support.cli import Ran, run, write_config
from tests.support.databases import mariadb, new_database
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.importing import COLUMNS, Image, import_images
from was_daemon.catalogue.mysql_dump import BadDump, rows_of_dump
from was_daemon.catalogue.records import record
from was_daemon.catalogue.schema import assets, history, visibility
from was_daemon.model.digests import Digest
from was_daemon.model.errors import BadName
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.origins import Origin

pytestmark = pytest.mark.slow

async_test = pytest_twisted.ensureDeferred

CREATE = """CREATE TABLE `images` (
  `id` int NOT NULL AUTO_INCREMENT,
  `original_filename` varchar(2000) DEFAULT NULL,
  `url` varchar(500) DEFAULT NULL,
  `universal_url` varchar(500) DEFAULT NULL,
  `original_path` varchar(2000) DEFAULT NULL,
  `redacted` tinyint(1) DEFAULT NULL,
  `internal_filename` varchar(500) DEFAULT NULL,
  `notes` varchar(8192) DEFAULT NULL,
  `datetime` datetime DEFAULT NULL,
  `collection` varchar(50) DEFAULT NULL,
  `orig_md5` char(32) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_internal_filename` (`internal_filename`)
) ENGINE=InnoDB;
"""
_PATH = 'C:\\scans\\b; "x".tif'
_TOLD = [
    (1, "IMG_1.jpg", "/Users/joe's/IMG_1.jpg", 0, "a.jpg", "None", "2022-04-12 23:45:04", "Botany", "0" * 32),
    (2, "NULL", _PATH, 1, "b.jpg", "a\nnote, (two)", "2023-01-02 03:04:05", "Botany", "NULL"),
    (3, "Käfer.jpg", None, 1, "c.jpg", None, None, "casich", None),
]
ROWS = [(*row[:2], f"http://x/{row[4]}", None, *row[2:]) for row in _TOLD]


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"').replace("\n", "\\n") + "'"


def inserted(rows: list[tuple[Any, ...]]) -> str:
    values = ",".join("(" + ",".join(map(literal, row)) + ")" for row in rows)
    return f"INSERT INTO `images` VALUES {values};\n"


DUMP = (
    "-- MySQL dump 10.13\n/*!40101 SET NAMES utf8mb4 */;\nDROP TABLE IF EXISTS `images`;\n"
    "CREATE TABLE `other` (`x` text);\nINSERT INTO `other` VALUES ('INSERT INTO `images` VALUES (1);'),('it''s');\n"
    f"{CREATE}LOCK TABLES `images` WRITE;\n{inserted(ROWS)}UNLOCK TABLES;\n"
)


def parsed(dump: str | bytes) -> list[Any]:
    data = dump.encode() if isinstance(dump, str) else dump
    return list(rows_of_dump(io.BytesIO(data), "images", COLUMNS))


def expected() -> list[dict[str, str | None]]:
    return [
        {name: None if value is None else str(value) for name, value in zip(COLUMNS, row, strict=True)} for row in ROWS
    ]


@pytest.mark.parametrize(
    "dump",
    [
        DUMP,
        inserted(ROWS),
        DUMP.replace("INSERT INTO `images`", "INSERT IGNORE INTO `images`.`images`"),
        DUMP.replace("INSERT INTO `images`", "REPLACE INTO images.images"),
        DUMP.replace("\\'", "''"),
        DUMP.replace("'Käfer.jpg'", "_utf8mb4 0x" + "Käfer.jpg".encode().hex()),
        "".join(inserted([row]) for row in ROWS),
        inserted(ROWS).replace(" VALUES", f" ({', '.join(COLUMNS)}) VALUES"),
    ],
)
def test_rows_are_read_from_whatever_a_dump_writes(dump: str) -> None:
    assert parsed(dump) == expected()


def test_a_table_without_the_newest_column_is_read() -> None:
    create = CREATE.replace("  `orig_md5` char(32) DEFAULT NULL,\n", "")
    found = parsed(create + inserted([row[:-1] for row in ROWS]))
    assert [row["internal_filename"] for row in found] == ["a.jpg", "b.jpg", "c.jpg"]
    assert "orig_md5" not in found[0]


def test_texts_longer_than_what_is_read_at_a_time_and_many_rows_are_whole() -> None:
    long = "x'\\" * 400_000
    rows = [(*row[:7], long, *row[8:]) for row in ROWS[:2]] + [(number, *ROWS[2][1:]) for number in range(2_000)]
    found = parsed(CREATE + inserted(rows))
    assert len(found) == len(rows)
    assert found[1]["notes"] == long


@pytest.mark.parametrize(
    "dump",
    [
        *("", "no dump", "CREATE TABLE `other` (`x` text);", DUMP[:-60], DUMP[: DUMP.index("Users")]),
        "CREATE TABLE `images` (`id` int); INSERT INTO `images` VALUES (0x123);",
    ],
)
def test_what_is_no_whole_dump_is_told(dump: str) -> None:
    with pytest.raises(BadDump):
        parsed(dump)


def test_a_compressed_dump_that_was_cut_off_or_damaged_is_told() -> None:
    whole = gzip.compress(DUMP.encode())
    for packed in whole[:-20], whole[:100] + b"damaged" + whole[107:]:
        file = cast(BinaryIO, gzip.GzipFile(fileobj=io.BytesIO(packed)))
        with pytest.raises(BadDump, match="cannot be read"):
            list(rows_of_dump(file, "images", COLUMNS))


def test_an_image_is_what_its_row_tells() -> None:
    first, second, third = (Image.parse(row) for row in expected())
    assert first.origin == Origin("IMG_1.jpg", None, "/Users/joe's/IMG_1.jpg", None, "0" * 32)
    assert first.at == datetime(2022, 4, 12, 23, 45, 4).timestamp()
    assert (second.origin.file_name, second.origin.notes, second.is_redacted) == (None, "a note, (two)", True)
    assert (third.at, third.origin.file_md5) == (None, None)
    with pytest.raises(BadName):
        Image.parse({**expected()[0], "internal_filename": "../x"})


def read(connection: Connection, *columns: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0].table.c.id))]


@async_test
async def test_what_is_imported_adds_to_the_catalogue_and_replaces_nothing(url: URL) -> None:
    database = CatalogueDatabase(url)
    keys = [AssetKey("plants", Kind.ORIGINAL, name) for name in ("a.jpg", "b.jpg")]
    own = Origin("own name.jpg", "192.0.2.1")
    events = [
        Event.new(EventKind.FOUND, "main", keys[0], Digest(1, "1" * 64, "1" * 32), at=2e9),
        Event.new(EventKind.STORED, "main", keys[1], Digest(1, "1" * 64, "1" * 32), own, at=2e9),
    ]
    await database.run(record, events)
    images = [("main", "plants", Image.parse(row)) for row in expected()]
    counts = await database.run(import_images, images)
    assert counts == {"imported": 2, "unrecorded": 1, "redacted": 2}
    columns = (assets.c.name, assets.c.file_name, assets.c.file_path_folded, assets.c.notes, assets.c.file_md5)
    assert await database.read(read, *columns) == [
        ("a.jpg", "IMG_1.jpg", "/users/joe's/img_1.jpg", None, "0" * 32),
        ("b.jpg", "own name.jpg", 'c:\\scans\\b; "x".tif', "a note, (two)", None),
    ]
    told = await database.read(read, history.c.kind, history.c.at, history.c.file_name)
    assert told[2:] == [
        ("imported", images[0][2].at, "IMG_1.jpg"),
        ("imported", images[1][2].at, None),
    ]
    private = await database.read(read, visibility.c.name, visibility.c.is_private)
    assert private == [("b.jpg", True), ("c.jpg", True)]
    assert await database.run(import_images, images) == {"known": 2, "unrecorded": 1}
    assert await database.read(read, history.c.kind) == [
        (kind,) for kind in ("found", "stored", "imported", "imported")
    ]
    await database.close()


class Academy:
    """A daemon's configuration, and files that the Academy's table knows."""

    def __init__(self, directory: Path) -> None:
        store = directory / "store"
        for name in ("a.jpg", "b.jpg"):
            path = store / "plants" / "originals" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        collections = {"mode": "map", "map": {"Plants": {"directory": "plants"}}}
        stores = {"main": {"plugin": "filesystem", "path": store}}
        catalogue = {"path": directory / "catalogue.sqlite"}
        self.config = write_config(directory, stores, collections=collections, catalogue=catalogue)
        assert run("catalogue", "rebuild", "--no-describe", "--config", self.config).code == 0

    def enter(self, *options: str | Path) -> Ran:
        names = ("--collection", "Botany=Plants")
        return run("catalogue", "import", *options, *names, "--config", self.config, "--json")

    def paths(self) -> list[str]:
        ran = run("find", "--file-path", "*", "--json", "--config", self.config)
        return [json.loads(line)["file_path"] for line in ran.out.splitlines()]


@pytest.fixture
def academy(tmp_path: Path) -> Academy:
    return Academy(tmp_path)


def test_a_dump_is_imported_and_what_is_elsewhere_is_told(academy: Academy, tmp_path: Path) -> None:
    dump = tmp_path / "images.sql.gz"
    dump.write_bytes(gzip.compress(DUMP.encode()))
    ran = academy.enter(dump)
    assert (ran.code, ran.report["imported"], ran.report["redacted"], ran.report["elsewhere"]) == (0, 2, 1, 1)
    assert "1 of a collection called casich" in ran.err
    assert len(academy.paths()) == 2


def test_wrong_input_is_told(academy: Academy, tmp_path: Path) -> None:
    empty = tmp_path / "empty.sql"
    empty.write_text("")
    ran = academy.enter(empty)
    assert (ran.code, "there is no table images in it" in ran.err) == (1, True)
    assert academy.enter().code == 2
    assert academy.enter(empty, "--collection", "nonsense").code == 2
    assert academy.enter("--url", "mysql://nobody@127.0.0.1:1/images").code == 1


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    with mariadb() as url:
        yield url


@pytest.fixture
def images_url(server: URL) -> URL:
    """The Academy's database, in a real server."""
    url = new_database(server)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(CREATE.replace("`datetime` datetime", "`datetime` datetime")))
        connection.exec_driver_sql(inserted(ROWS).replace("%", "%%"))
    engine.dispose()
    return url


def test_the_database_is_imported_and_only_read(academy: Academy, images_url: URL, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{images_url.password}\n")
    address = f"mysql://{images_url.username}@{images_url.host}:{images_url.port}/{images_url.database}"
    ran = academy.enter("--url", address, "--password-file", secret)
    assert (ran.code, ran.report["imported"]) == (0, 2), ran.err
    assert sorted(academy.paths()) == sorted(row[4] for row in ROWS[:2])
    ran = academy.enter("--url", address, "--password-file", secret, "--table", "pictures")
    assert (ran.code, "has no table pictures" in ran.err) == (1, True)


def test_what_mysqldump_writes_is_imported(academy: Academy, images_url: URL, tmp_path: Path) -> None:
    program = shutil.which("mariadb-dump") or shutil.which("mysqldump")
    if not program:
        pytest.skip("needs mariadb-dump")
    dump = tmp_path / "images.sql"
    words = [f"--host={images_url.host}", f"--port={images_url.port}", f"--user={images_url.username}"]
    words += [f"--password={images_url.password}", "--skip-ssl", str(images_url.database)]
    with dump.open("wb") as out:
        subprocess.run([program, "--no-defaults", *words], stdout=out, check=True)
    assert academy.enter(dump).report["imported"] == 2
