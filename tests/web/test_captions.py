"""What the catalogue says of an original, in the answers of a daemon: names of downloads, and IIIF."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support import images, recordings
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.iiif import valid_manifest

async_test = pytest_twisted.ensureDeferred

CC_BY = "http://creativecommons.org/licenses/by/4.0/"


class Museum:
    """A daemon with a catalogue, in which there are records of Specify."""

    def __init__(self, run_daemon: RunDaemon, directory: Path) -> None:
        self._database = directory / "catalogue.sqlite"
        self.daemon = run_daemon({"catalogue": {"path": self._database}})
        self.client = Client(self.daemon.url, KEY)

    def ask(self, query: str) -> list[Any]:
        """The rows that the catalogue has, none as long as it has no tables."""
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self._database)) as database:
            return database.execute(query).fetchall()
        return []

    def say(self, name: str, **columns: Any) -> None:
        """Have Specify say this of an original."""
        eventually(lambda: self.ask("SELECT name FROM assets"), "for the upload to be recorded")
        key = {"store": "main", "collection": "", "name": name}
        row = {"source": "fish", "number": 7, "changed": 1.0, "is_removed": False, **key, **columns}
        with closing(sqlite3.connect(self._database, timeout=60)) as database, database:
            values = ", ".join("?" * len(row))
            database.execute(f"INSERT INTO records ({', '.join(row)}) VALUES ({values})", list(row.values()))


@pytest.fixture
def museum(run_daemon: RunDaemon, tmp_path: Path) -> Museum:
    return Museum(run_daemon, tmp_path)


@async_test
async def test_a_download_has_the_name_in_specify_unless_the_client_gives_one(museum: Museum) -> None:
    client = museum.client
    await client.store("a.jpg", images.photograph())
    museum.say("a.jpg", file_name="C:\\Bilder\\Käfer 1.jpg")
    disposition = f"inline; filename*=utf-8''{quote('Käfer 1.jpg')}"
    for method in ("GET", "HEAD"):
        answer = await client.request(method, "/fileget", filename="a.jpg", type="O", coll="Fish")
        assert (answer.status, answer.headers["Content-Disposition"]) == (200, disposition)
    assert (await client.get("/static/originals/a.jpg")).headers["Content-Disposition"] == disposition
    named = await client.original("a.jpg", downloadname="mine.jpg")
    assert named.headers["Content-Disposition"] == "inline; filename*=utf-8''mine.jpg"
    assert "Content-Disposition" not in (await client.thumbnail("a.jpg", 100)).headers
    assert f"downloadname={quote('Käfer 1.jpg')}" in (await client.get("/view", filename="a.jpg", coll="Fish")).text


@async_test
async def test_without_a_record_it_has_the_name_under_which_it_was_sent(museum: Museum) -> None:
    await museum.client.store("a.bin", b"a")
    eventually(lambda: museum.ask("SELECT 1 FROM assets WHERE file_name IS NOT NULL"), "for the upload to be recorded")
    assert "Content-Disposition" in (await museum.client.original("a.bin")).headers


@async_test
async def test_without_the_database_originals_are_sent_without_a_name(run_daemon: RunDaemon, tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(b"this is no database" * 100)
    daemon = run_daemon({"catalogue": {"path": tmp_path / "catalogue.sqlite"}})
    client = Client(daemon.url, KEY)
    await client.store("a.bin", b"a")
    answer = await client.original("a.bin")
    assert (answer.status, answer.body) == (200, b"a")
    assert "Content-Disposition" not in answer.headers


@async_test
async def test_pictures_and_manifests_carry_label_rights_attribution_and_dates(museum: Museum) -> None:
    client = museum.client
    await client.store("a.jpg", images.photograph((600, 400)))
    before = await client.get("/iiif/presentation/3/a.jpg/manifest")
    said = {"title": "Holotype", "license": "CC BY 4.0", "copyright_holder": "Museum", "copyright_date": "2012"}
    museum.say("a.jpg", file_name="x.jpg", credit="J. Doe", created="2024-05-06 07:08:09", **said)
    museum.daemon.restart()
    manifest = await client.get("/iiif/presentation/3/a.jpg/manifest")
    valid_manifest(manifest.json)
    assert manifest.headers["ETag"] != before.headers["ETag"]
    assert manifest.json["label"] == {"none": ["Holotype"]}
    assert manifest.json["rights"] == CC_BY
    assert manifest.json["requiredStatement"]["value"] == {"none": ["J. Doe", "© 2012 Museum"]}
    told = {each["label"]["en"][0]: each["value"]["none"][0] for each in manifest.json["metadata"]}
    assert (told["File name"], told["Date added"]) == ("x.jpg", "2024-05-06")
    newest = (await client.get("/iiif/3/a.jpg/info.json")).json
    (whole,) = newest["partOf"]
    assert (newest["rights"], whole["label"]) == (CC_BY, {"none": ["Holotype"]})
    assert (await client.get(whole["id"].removeprefix(client.base_url))).json == manifest.json
    second = (await client.get("/iiif/2/a.jpg/info.json")).json
    assert (second["license"], second["attribution"]) == (CC_BY, ["J. Doe", "© 2012 Museum"])
    assert "label" not in newest and "label" not in second


@async_test
async def test_a_licence_without_an_address_is_shown_and_the_files_own_does_not_count(museum: Museum) -> None:
    await museum.client.store("a.jpg", images.photograph())
    museum.say("a.jpg", license="ask the curator")
    manifest = (await museum.client.get("/iiif/presentation/3/a.jpg/manifest")).json
    valid_manifest(manifest)
    assert "rights" not in manifest
    assert manifest["requiredStatement"]["value"] == {"none": ["ask the curator"]}


@async_test
async def test_a_recording_is_saved_under_its_name(museum: Museum) -> None:
    await museum.client.store("song.wav", recordings.sound("wav"))
    museum.say("song.wav", file_name="Song of a wren.wav")
    answer = await museum.client.get("/iiif/presentation/3/song.wav/media")
    assert answer.headers["Content-Disposition"] == "inline; filename*=utf-8''Song%20of%20a%20wren.wav"


@pytest.mark.parametrize("setting", [True, "private"])
@async_test
async def test_who_may_not_read_an_original_learns_nothing_of_its_record(
    run_daemon: RunDaemon, tmp_path: Path, setting: bool | str
) -> None:
    config = {"catalogue": {"path": tmp_path / "catalogue.sqlite"}, "server": {"require_token_for_get": setting}}
    museum = Museum(lambda more: run_daemon({**config, **more}), tmp_path)
    await museum.client.store("a.jpg", images.photograph())
    museum.say("a.jpg", title="secret", file_name="secret.jpg", credit="secret", license="secret", is_public=False)
    for path in ("/fileget?filename=a.jpg", "/iiif/3/a.jpg/info.json", "/iiif/presentation/3/a.jpg/manifest"):
        answer = await museum.client.get(path)
        assert answer.status == 403
        assert "secret" not in f"{dict(answer.headers)} {answer.body!r}"
