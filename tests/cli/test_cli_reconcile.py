"""`was-daemon reconcile`."""

import csv
import io
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from tests.support.cli import Ran, run, write_config
from tests.support.databases import mariadb
from tests.support.paths import ROOT
from tests.support.specify import Specify, new_specify

OLD = 100 * 24 * 3600


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """MariaDB for databases of Specify."""
    with mariadb() as address:
        yield address


class Museum:
    """Files in a directory, a database of Specify, and a configuration for both."""

    def __init__(self, directory: Path, specify: Specify, **sections: Any) -> None:
        self.directory = directory
        self.specify = specify
        self.store = directory / "main"
        self.store.mkdir()
        self.config = write_config(
            directory,
            {"main": {"plugin": "filesystem", "path": self.store}},
            **{"catalogue": {"path": directory / "catalogue.sqlite"}, **sections},
        )

    def put(self, path: str, content: bytes = b"", age: float = OLD) -> None:
        """Make a file, with a content of its own unless one is given."""
        file = self.store / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content or path.encode())
        os.utime(file, (time.time() - age,) * 2)

    def run(self, *options: str) -> Ran:
        return run("reconcile", "--config", self.config, *options)

    def found(self, *options: str) -> list[tuple[str, ...]]:
        """The findings, each with its kind, file, record and details, in the order of kinds and files."""
        ran = self.run("--json", *options)
        assert ran.code == bool(ran.report["findings"]), ran
        columns = ("kind", "file", "record", "detail")
        found = sorted(ran.report["findings"], key=lambda each: (each["kind"], each["file"]))
        return [tuple(each[name] for name in columns) for each in found]


@pytest.fixture
def museum(tmp_path: Path, server: URL) -> Museum:
    """An original with its record."""
    specify = new_specify(server)
    museum = Museum(tmp_path, specify, **{"specify.fish": specify.settings(tmp_path)})
    museum.put("originals/a.jpg")
    specify.add("a.jpg")
    return museum


def test_a_store_that_agrees_with_specify_is_clean(museum: Museum) -> None:
    museum.put("thumbnails/a_123.jpg")
    museum.put(".pyramids/a.jpg_1.zip")
    ran = museum.run()
    assert (ran.code, ran.out) == (0, "1 originals, 1 records: nothing is wrong\n")
    assert museum.found() == []


def test_records_without_original_and_originals_without_record_are_found(museum: Museum) -> None:
    museum.specify.add("lost.jpg", TableID=5)
    museum.put("originals/orphan.jpg")
    museum.put("originals/new.jpg", age=29 * 24 * 3600)
    assert museum.found() == [
        ("missing", "originals/lost.jpg", 2, ""),
        ("orphaned", "originals/orphan.jpg", None, ""),
    ]
    assert ("orphaned", "originals/new.jpg", None, "") in museum.found("--min-age", "28")
    assert ("orphaned", "originals/new.jpg", None, "") in museum.found("--min-age", "4 weeks")
    ran = museum.run()
    assert ran.code == 1
    missing, orphaned, summary = ran.out.splitlines()[1:]
    assert missing.split() == ["missing", "main:", "originals/lost.jpg", "fish", "2", "agent"]
    assert orphaned.split() == ["orphaned", "main:", "originals/orphan.jpg"]
    assert summary == "3 originals, 2 records: 1 missing, 1 orphaned"


@pytest.mark.slow
def test_names_that_differ_in_case_or_form_only_are_told_from_missing_ones(museum: Museum) -> None:
    museum.specify.add("Ä.JPG")
    museum.put("originals/a\u0308.jpg")
    museum.put("originals/A.jpg")
    assert museum.found() == [
        ("alike", "originals/A.jpg", None, "as a.jpg"),
        ("alike", "originals/a.jpg", None, "as A.jpg"),
        ("differs", "originals/Ä.JPG", 2, "the original is originals/a\u0308.jpg"),
    ]


def test_locations_that_are_no_names_are_listed_with_their_records(museum: Museum) -> None:
    museum.specify.add("https://elsewhere.example.org/b.jpg")
    museum.specify.add(None)
    assert museum.found() == [
        ("location", "", 2, "'https://elsewhere.example.org/b.jpg'"),
        ("location", "", 3, "no location"),
    ]


def test_thumbnails_and_pyramids_without_original_are_found(museum: Museum) -> None:
    long = "ä" * 120
    for name in (f"{long}.jpg", "b.tif"):
        museum.put(f"originals/{name}")
        museum.specify.add(name)
    for name in ("a_50.jpg", "b_50.png", "gone_50.jpg", "a_50.png", "notes.txt"):
        museum.put(f"thumbnails/{name}")
    for name in ("a.jpg_1.zip", "gone.jpg_2.zip"):
        museum.put(f".pyramids/{name}")
    assert museum.found() == [
        ("pyramid", ".pyramids/gone.jpg_2.zip", None, ""),
        ("thumbnail", "thumbnails/a_50.png", None, ""),
        ("thumbnail", "thumbnails/gone_50.jpg", None, ""),
    ]


def test_empty_originals_are_found(museum: Museum) -> None:
    museum.put("originals/empty.jpg")
    os.truncate(museum.store / "originals/empty.jpg", 0)
    museum.specify.add("empty.jpg")
    assert museum.found() == [("empty", "originals/empty.jpg", None, "")]


@pytest.mark.slow
def test_contents_that_are_the_same_or_of_another_type_are_found(museum: Museum) -> None:
    for name in ("b.jpg", "c.jpg", "d.png"):
        museum.put(f"originals/{name}", b"the same")
        museum.specify.add(name)
    assert run("catalogue", "rebuild", "--config", museum.config).code == 0
    with closing(sqlite3.connect(museum.directory / "catalogue.sqlite")) as database, database:
        database.execute("UPDATE assets SET media_type = 'image/jpeg'")
        database.execute("UPDATE assets SET media_type = NULL WHERE name = 'b.jpg'")
    assert museum.found() == [
        ("identical", "originals/c.jpg", None, "as originals/b.jpg"),
        ("identical", "originals/d.png", None, "as originals/b.jpg"),
        ("type", "originals/d.png", None, "the content is image/jpeg, and the extension .png is that of image/png"),
    ]


def test_scripts_read_csv(museum: Museum) -> None:
    museum.specify.add('lo"st, too.jpg')
    ran = museum.run("--csv")
    assert ran.code == 1
    (row,) = csv.DictReader(io.StringIO(ran.out))
    assert row == {
        "kind": "missing",
        "store": "main",
        "file": 'originals/lo"st, too.jpg',
        "source": "fish",
        "record": "2",
        "table": "collectionobject",
        "detail": "",
    }
    assert museum.run("--csv", "--json").code == 2


def test_without_the_database_an_export_does(museum: Museum, tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text("AttachmentID,AttachmentLocation,TableID\n1,a.jpg,1\n7,lost.jpg,41\n")
    museum.put("originals/orphan.jpg")
    plain = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": museum.store}})
    ran = run("reconcile", "--records", tmp_path / "export.csv", "--config", plain, "--json")
    assert ran.code == 1, ran
    assert [(each["kind"], each["source"], each["record"], each["table"]) for each in ran.report["findings"]] == [
        ("missing", "export", 7, "attachment"),
        ("orphaned", "", None, ""),
    ]
    assert 'location in "AttachmentLocation"' in ran.err
    assert "There is no [catalogue]" in ran.err


def test_an_export_that_is_older_than_an_upload_makes_it_no_orphan(museum: Museum, tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    export.write_text("AttachmentLocation\na.jpg\n")
    os.utime(export, (time.time() - OLD,) * 2)
    museum.put("originals/later.jpg", age=OLD - 3600)
    museum.put("originals/orphan.jpg", age=OLD + 31 * 24 * 3600)
    assert museum.found("--records", str(export)) == [("orphaned", "originals/orphan.jpg", None, "")]


@pytest.mark.slow
def test_each_collection_is_compared_with_its_own_databases(tmp_path: Path, server: URL) -> None:
    fish, birds = new_specify(server), new_specify(server)
    collections = {"mode": "map", "map": {name: {"directory": name.lower()} for name in ("Fish", "Birds", "Plants")}}
    museum = Museum(
        tmp_path,
        fish,
        collections=collections,
        **{
            "specify.fish": fish.settings(tmp_path, coll="Fish"),
            "specify.birds": birds.settings(tmp_path, coll="Birds"),
        },
    )
    for name in ("fish/originals/a.jpg", "birds/originals/b.jpg", "plants/originals/c.jpg", "fish/originals/d.jpg"):
        museum.put(name)
    fish.add("a.jpg")
    fish.add("b.jpg")
    birds.add("e.jpg")
    birds.add("d.jpg")
    assert museum.found() == [
        ("elsewhere", "birds/originals/d.jpg", 2, "the original is fish/originals/d.jpg"),
        ("elsewhere", "fish/originals/b.jpg", 2, "the original is birds/originals/b.jpg"),
        ("missing", "birds/originals/e.jpg", 1, ""),
    ]
    assert [each[1] for each in museum.found("--collection", "Fish")] == ["fish/originals/b.jpg"]
    assert "No [specify.NAME] has the attachments in plants" in museum.run().err
    assert museum.run("--records", str(museum.config)).code == 2


@pytest.mark.slow
def test_it_says_with_status_2_that_it_could_not_compare(museum: Museum, tmp_path: Path) -> None:
    museum.specify.run("RENAME TABLE attachment TO gone")
    ran = museum.run()
    assert (ran.code, ran.out) == (2, "")
    assert "the database of specify.fish cannot be read (" in ran.err
    plain = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": museum.store}})
    for options in ([], ["--records", str(plain)], ["--collection", "x"]):
        ran = run("reconcile", "--config", plain, *options)
        assert (ran.code, ran.out) == (2, ""), ran
        assert "Traceback" not in ran.err
    missing = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "unmounted"}})
    (tmp_path / "export.csv").write_text("AttachmentLocation\na.jpg\n")
    ran = run("reconcile", "--config", missing, "--records", tmp_path / "export.csv")
    assert (ran.code, "there is no such directory" in ran.err) == (2, True)


@pytest.mark.slow
def test_a_database_whose_exports_are_read_is_as_old_as_they_are(museum: Museum, tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        {"main": {"plugin": "filesystem", "path": museum.store}},
        **{"catalogue": {"path": tmp_path / "other.sqlite"}, "specify.fish": {"min_share": 0.5}},
    )
    ran = run("reconcile", "--config", config)
    assert (ran.code, "specify.fish was never read" in ran.err) == (2, True)
    export = tmp_path / "export.csv"
    export.write_text("AttachmentID,AttachmentLocation\n1,a.jpg\n")
    os.utime(export, (time.time() - OLD,) * 2)
    assert run("specify", "read", "fish", "--records", export, "--config", config, "--json").report == {
        "attachments": 1,
        "changed": 1,
    }
    museum.put("originals/later.jpg", age=OLD - 3600)
    assert run("reconcile", "--config", config).code == 0


def test_orphans_are_not_moved_where_there_is_no_trash(museum: Museum) -> None:
    museum.put("originals/orphan.jpg")
    ran = museum.run("--quarantine")
    assert ran.code == 2
    assert "there is no trash" in ran.err
    assert (museum.store / "originals/orphan.jpg").exists()


def test_orphans_go_to_the_trash_and_come_back(tmp_path: Path, server: URL) -> None:
    specify = new_specify(server)
    sections = {"specify.fish": specify.settings(tmp_path), "trash": {"keep": "30 days"}}
    museum = Museum(tmp_path, specify, **sections)
    for number in range(20):
        museum.put(f"originals/{number}.jpg")
        specify.add(f"{number}.jpg")
    museum.put("originals/orphan.jpg", b"of nobody")
    ran = museum.run("--quarantine", "--json")
    assert ran.code == 1, ran
    assert [(each["kind"], each["file"]) for each in ran.report["findings"]] == [
        ("orphaned", "originals/orphan.jpg"),
        ("moved", "originals/orphan.jpg"),
    ]
    assert len(list((museum.store / "originals").glob("*.jpg"))) == 20
    assert museum.found() == []
    assert run("trash", "restore", "orphan.jpg", "--config", museum.config).code == 0
    assert (museum.store / "originals/orphan.jpg").read_bytes() == b"of nobody"
    for number in range(10):
        museum.put(f"originals/orphan-{number}.jpg")
    ran = museum.run("--quarantine")
    assert (ran.code, "nothing is moved: 11 of 31 originals in store main" in ran.err) == (2, True), ran
    assert len(list((museum.store / "originals").glob("orphan*.jpg"))) == 11


def test_a_store_that_lists_names_only_is_compared_as_well(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "numbered", "count": 3}}, plugins={"path": [ROOT / "tests"]})
    (tmp_path / "export.csv").write_text("AttachmentLocation\nasset-0000001.jpg\nasset-0000007.jpg\n")
    ran = run("reconcile", "--config", config, "--records", tmp_path / "export.csv", "--json")
    assert sorted((each["kind"], each["file"]) for each in ran.report["findings"]) == [
        ("missing", "originals/asset-0000007.jpg"),
        ("orphaned", "originals/asset-0000000.jpg"),
        ("orphaned", "originals/asset-0000002.jpg"),
    ]
    assert "Nobody knows the size of 3 originals" in ran.err
