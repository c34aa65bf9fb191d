"""`was-daemon catalogue rebuild` and `was-daemon find`, as an operator uses them."""

import csv
import hashlib
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.support import images, recordings
from tests.support.cli import Ran, run, started, write_config
from tests.support.daemon import eventually
from tests.support.ports import free_port
from tests.support.remotes import make_far_end
from tests.support.tiny_disk import fill, tiny_disk
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.journal import Journal
from was_daemon.testing.contract import original

PHOTOGRAPH = images.photograph((600, 400))


class Store:
    """A store with files in it, and a catalogue that knows nothing yet."""

    def __init__(self, directory: Path, **sections: dict[str, Any]) -> None:
        self.path = directory / "store"
        self.database = directory / "state" / "catalogue.sqlite"
        stores = {"main": {"plugin": "filesystem", "path": self.path}}
        self.config = write_config(directory, stores, catalogue={"path": self.database}, **sections)

    def put(self, name: str, content: bytes, collection: str = "") -> None:
        path = self.path / collection / "originals" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def rebuild(self, *options: str) -> Ran:
        return run("catalogue", "rebuild", "--config", self.config, *options)

    def find(self, *options: str | Path) -> Ran:
        return run("find", *options, "--config", self.config)

    def found(self, *options: str | Path) -> list[dict[str, Any]]:
        ran = self.find(*options, "--json")
        assert (ran.code == 0) == bool(ran.out), ran
        return [json.loads(line) for line in ran.out.splitlines()]

    def names(self, *options: str | Path) -> list[str]:
        return [row["name"] for row in self.found(*options)]

    def query(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(statement).fetchall()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.put("IMG_1.jpg", PHOTOGRAPH)
    store.put("film.mp4", recordings.film("mp4"))
    store.put("notes.txt", b"fish")
    return store


def test_a_rebuilt_catalogue_has_all_that_can_be_derived(store: Store) -> None:
    ran = store.rebuild()
    assert (ran.code, ran.out.partition(",")[0]) == (0, "3 recorded now")
    film, photograph, notes = store.found("*")
    assert photograph["sha256"] == hashlib.sha256(PHOTOGRAPH).hexdigest()
    assert photograph["md5"] == hashlib.md5(PHOTOGRAPH).hexdigest()
    assert (photograph["size"], photograph["width"], photograph["height"]) == (len(PHOTOGRAPH), 600, 400)
    assert (photograph["captured"], photograph["latitude"]) == ("2012-02-02 13:48:41", 52.53)
    assert (film["media_type"], film["width"], notes["media_type"]) == ("video/mp4", recordings.FILM[0], "text/plain")


def test_a_second_rebuild_has_nothing_to_do(store: Store) -> None:
    store.rebuild()
    assert store.rebuild("--json").report["recorded"] == 0
    assert store.query("SELECT COUNT(*) FROM history") == [(3,)]


def test_what_is_recorded_and_not_described_is_described(store: Store) -> None:
    store.rebuild("--no-describe")
    assert {row["media_type"] for row in store.found()} == {None}
    store.put("later.txt", b"later")
    (store.path / "originals" / "notes.txt").unlink()
    report = store.rebuild("--json").report
    assert [report[state] for state in ("recorded", "described", "missing", "failed")] == [1, 2, 1, 0]
    assert store.names("--type", "text/") == ["later.txt"]


@pytest.mark.slow
def test_an_interrupted_rebuild_is_started_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(400):
        store.put(f"{number}.txt", b"text %d" % number)
    with started("catalogue", "rebuild", "--config", store.config) as process:
        eventually(
            lambda: (
                store.database.exists()
                and store.query("SELECT name FROM sqlite_master WHERE name = 'assets'")
                and store.query("SELECT COUNT(*) FROM assets")[0][0] > 50
            ),
            "some are recorded",
        )
        process.kill()
    assert store.rebuild().code == 0
    assert store.query("SELECT COUNT(*), COUNT(media_type), COUNT(DISTINCT name) FROM assets") == [(400, 400, 400)]


def test_an_unreadable_file_is_reported_and_the_others_are_recorded(store: Store) -> None:
    (store.path / "originals" / "dangling").symlink_to(store.path / "nowhere")
    store.put("broken.jpg", b"\xff\xd8\xff")
    ran = store.rebuild("--json")
    assert ran.report["recorded"] == 4
    assert store.names("broken.jpg", "--type", "image/jpeg") == ["broken.jpg"]


@pytest.mark.slow
def test_an_original_of_a_remote_store_is_read_once(tmp_path: Path) -> None:
    far_end = make_far_end("sftp", tmp_path / "far")
    far_end.start()
    try:
        content = images.noisy_photograph((1500, 1000))
        path = far_end.root / "originals" / "a.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        catalogue = {"path": tmp_path / "catalogue.sqlite"}
        config = write_config(tmp_path, {"main": far_end.table()}, catalogue=catalogue)
        far_end.relay.count_anew()
        ran = run("catalogue", "rebuild", "--config", config)
        assert ran.code == 0, ran.err
        assert len(content) < far_end.relay.received < 1.5 * len(content)
        row = json.loads(run("find", "a.jpg", "--json", "--config", config).out)
        assert (row["width"], row["sha256"]) == (1500, hashlib.sha256(content).hexdigest())
    finally:
        far_end.remove()


def test_a_store_that_is_down_does_not_keep_others_from_being_entered(tmp_path: Path) -> None:
    places = {"Birds": {"directory": "B", "store": "cloud"}, "Fish": {"directory": "F", "store": "main"}}
    collections = {"mode": "map", "store": "main", "map": places}
    store = Store(tmp_path, collections=collections)
    store.put("a.txt", b"fish", "F")
    stores = {
        "cloud": {"plugin": "webdav", "url": f"http://127.0.0.1:{free_port()}/"},
        "main": {"plugin": "filesystem", "path": store.path},
    }
    write_config(tmp_path, stores, collections=collections, catalogue={"path": store.database})
    ran = store.rebuild()
    assert (ran.code, "the store cloud" in ran.out, "1 recorded now" in ran.out) == (1, True, True)
    assert store.names("a.txt") == ["a.txt"]


@pytest_twisted.ensureDeferred
async def test_what_a_killed_command_has_left_in_the_journal_counts(store: Store) -> None:
    store.rebuild("--no-describe")
    journal = Journal(store.database.with_suffix(".journal.sqlite"))
    await journal.add(Event.new(EventKind.QUARANTINED, "main", original("notes.txt")))
    await journal.close()
    assert set(store.names()) == {"film.mp4", "IMG_1.jpg"}


def test_a_full_disk_is_called_one(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk"):
        stores = {"main": {"plugin": "filesystem", "path": tmp_path / "store"}}
        database = tmp_path / "disk" / "catalogue.sqlite"
        config = write_config(tmp_path, stores, catalogue={"path": database})
        (tmp_path / "store").mkdir()
        assert run("catalogue", "rebuild", "--config", config).code == 0
        filler = fill(tmp_path / "disk")
        ran = run("find", "--config", config)
        assert (ran.code, ran.err.count("its disk is full")) == (1, 2), ran
        assert f"{database}: " in ran.err
        filler.unlink()
        assert run("find", "--config", config).err == "Nothing was found.\n"


@pytest.mark.slow
def test_a_file_at_hand_is_found_whatever_its_name(store: Store, tmp_path: Path) -> None:
    store.rebuild()
    scan = tmp_path / "scan.jpg"
    scan.write_bytes(PHOTOGRAPH)
    assert store.names("--file", scan) == ["IMG_1.jpg"]
    scan.write_bytes(PHOTOGRAPH[:-1])
    ran = store.find("--file", scan)
    assert (ran.code, ran.out, ran.err) == (1, "", "Nothing was found.\n")


def test_people_get_a_line_for_each_and_scripts_a_table(store: Store) -> None:
    store.rebuild()
    ran = store.find("img_1*")
    assert "600 x 400" in ran.out
    assert ran.out.endswith("IMG_1.jpg\n")
    rows = list(csv.DictReader(io.StringIO(store.find("*", "--csv").out)))
    assert [row["name"] for row in rows] == ["film.mp4", "IMG_1.jpg", "notes.txt"]
    assert rows[1]["width"] == "600"
    assert len(rows[0]["stored"]) == len("2024-05-31 12:00:00")


@pytest.mark.slow
def test_the_list_ends_at_its_limit(store: Store) -> None:
    store.rebuild()
    ran = store.find("--limit", "2")
    assert (len(ran.out.splitlines()), ran.err) == (2, "There are more than 2: see --limit.\n")
    assert (len(store.find("--limit", "3").out.splitlines()), store.find("--limit", "0").err) == (3, "")


@pytest.mark.slow
def test_collections_are_found_by_their_names(tmp_path: Path) -> None:
    fish = {"directory": "fish"}
    store = Store(
        tmp_path, collections={"mode": "map", "map": {"Fish": fish, "KUFish": fish, "Birds": {"directory": "birds"}}}
    )
    store.put("a.txt", b"fish", "fish")
    store.put("b.txt", b"bird", "birds")
    store.rebuild()
    assert [(row["collection"], row["name"]) for row in store.found("--collection", "KUFish")] == [("Fish", "a.txt")]
    assert store.names("*") == ["a.txt", "b.txt"]
    assert store.find("--collection", "Plants").code == 2


@pytest.mark.parametrize(
    "options",
    [
        *(["--captured", "yesterday"], ["--history"], ["a", "--history", "--size", "5"], ["--near", "1,2"]),
        *(["--sha256", "0" * 64, "--file", __file__], ["--file", "/nowhere"]),
    ],
)
def test_wrong_use_is_told(store: Store, options: list[str]) -> None:
    ran = store.find(*options)
    assert (ran.code, ran.out) == (2, "")
    assert "Error: " in ran.err


def test_the_history_of_a_name_is_told(store: Store) -> None:
    store.rebuild()
    (event,) = store.found("film.mp4", "--history")
    assert (event["kind"], event["name"]) == ("found", "film.mp4")
    assert "found" in store.find("--history", "film.mp4").out
    assert store.find("--history", "nobody.jpg").code == 1


def test_without_a_catalogue_there_is_nothing_to_find(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}})
    ran = run("find", "a.jpg", "--config", config)
    assert (ran.code, "set path in the section [catalogue]" in ran.err) == (1, True)
