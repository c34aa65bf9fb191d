"""`getImageRecord`: what the California Academy's clients ask before they upload a file."""

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest_twisted
import requests
from twisted.internet.threads import deferToThread

from tests.conftest import RunDaemon
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.web.test_admin import fetch

async_test = pytest_twisted.ensureDeferred

FIELDS = {
    "original_filename": "IMG_8032.jpg",
    "original_path": "/Users/joe/Käfer & Co/IMG_8032.jpg",
    "redacted": "False",
    "notes": "of the type",
    "orig_md5": "A" * 32,
}
CONTENT = b"a picture"


class Academy:
    """A daemon with a catalogue and two collections, and a client of the Academy's."""

    def __init__(self, run_daemon: RunDaemon, directory: Path, **sections: dict[str, Any]) -> None:
        collections = {"mode": "map", "map": {"Botany": {"directory": "botany"}, "IZ": {"directory": "iz"}}}
        catalogue = {"path": directory / "catalogue.sqlite"}
        self.daemon: Daemon = run_daemon({"collections": collections, "catalogue": catalogue, **sections})
        self.client = Client(self.daemon.url, KEY)

    async def upload(self, name: str, collection: str = "Botany", status: int = 200, **fields: str) -> None:
        token = self.client.token(name)
        form = {"store": name, "type": "image", "coll": collection, "token": token, **FIELDS, **fields}
        answer = await deferToThread(
            lambda: requests.post(f"{self.daemon.url}/fileupload", data=form, files={"image": (name, CONTENT)})
        )
        assert answer.status_code == status, answer.text

    def ask(self, text: str, **fields: str) -> tuple[int, Any]:
        given = {"file_string": text, "token": self.client.token(text), "coll": "Botany", **fields}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items() if value)
        status, body = fetch(f"{self.daemon.url}/getImageRecord?{query}")
        return status, json.loads(body) if status == 200 else body.decode()

    def names(self, text: str, **fields: str) -> list[str]:
        status, records = self.ask(text, **fields)
        return [record["internal_filename"] for record in records] if status == 200 else []


@async_test
async def test_files_are_found_by_name_path_and_md5(run_daemon: RunDaemon, tmp_path: Path) -> None:
    academy = Academy(run_daemon, tmp_path)
    await academy.upload("a.jpg")
    await academy.upload("b.jpg", original_filename="what?.jpg", original_path="/else/what?.jpg", orig_md5="")
    await academy.upload("c.jpg", "IZ")
    eventually(lambda: len(academy.names("jpg", coll="")) == 3, "all are recorded")
    for text, kind, exact, found in [
        ("IMG_8032.jpg", "filename", "True", ["a.jpg"]),
        ("img_8032.JPG", "filename", "True", ["a.jpg"]),
        ("8032", "filename", "True", []),
        ("8032", "filename", "False", ["a.jpg"]),
        ("img%jpg", "filename", "", ["a.jpg"]),
        (FIELDS["original_path"], "path", "True", ["a.jpg"]),
        (quote(FIELDS["original_path"]), "path", "True", ["a.jpg"]),
        ("joe/käfer", "path", "False", ["a.jpg"]),
        ("a" * 32, "md5", "", ["a.jpg"]),
        (hashlib.md5(CONTENT).hexdigest(), "md5", "", ["a.jpg", "b.jpg"]),
        ("what?.jpg", "filename", "True", ["b.jpg"]),
        ("whats.jpg", "filename", "True", []),
    ]:
        assert (text, academy.names(text, search_type=kind, exact=exact)) == (text, found)
    assert academy.names("IMG_8032.jpg", exact="1", coll="IZ") == ["c.jpg"]


@async_test
async def test_a_record_has_what_these_clients_know(run_daemon: RunDaemon, tmp_path: Path) -> None:
    academy = Academy(run_daemon, tmp_path)
    await academy.upload("a.jpg")
    (record,) = eventually(
        lambda: academy.ask("IMG_8032.jpg")[1] if academy.names("IMG_8032.jpg") else None, "recorded"
    )
    stored = record.pop("datetime")
    assert len(stored) == len("2022-04-12 23:45:04")
    assert record == {
        "original_filename": "IMG_8032.jpg",
        "url": f"{academy.daemon.url}/static/botany/originals/a.jpg",
        "universal_url": None,
        "internal_filename": "a.jpg",
        "collection": "Botany",
        "original_path": FIELDS["original_path"],
        "notes": "of the type",
        "redacted": 0,
        "orig_md5": "a" * 32,
    }
    assert fetch(record["url"]) == (200, CONTENT)


@async_test
async def test_a_redacted_file_is_private_or_refused(run_daemon: RunDaemon, tmp_path: Path) -> None:
    await Academy(run_daemon, tmp_path / "open").upload("a.jpg", status=400, redacted="True")
    server, visibility = {"require_token_for_get": "private"}, {"unknown": "public"}
    academy = Academy(run_daemon, tmp_path, server=server, visibility=visibility)
    await academy.upload("a.jpg", redacted="True")
    await academy.upload("b.jpg")
    eventually(lambda: len(academy.names("IMG")) == 2, "both are recorded")
    records = academy.ask("IMG")[1]
    assert sorted((each["internal_filename"], each["redacted"]) for each in records) == [("a.jpg", 1), ("b.jpg", 0)]
    fileget = f"{academy.daemon.url}/fileget?coll=Botany&type=O&filename="
    assert [fetch(fileget + name)[0] for name in ("a.jpg", "b.jpg")] == [403, 200]


@async_test
async def test_only_who_has_the_key_may_ask(run_daemon: RunDaemon, tmp_path: Path) -> None:
    own = {"map": {"Botany": {"directory": "botany", "key": "a key of its own"}, "IZ": {"directory": "iz"}}}
    academy = Academy(run_daemon, tmp_path, collections={"mode": "map", **own})
    assert academy.ask("a.jpg")[0] == 403
    assert academy.ask("a.jpg", token="")[0] == 403
    assert academy.ask("a.jpg", coll="IZ")[0] == 404
    academy.client = Client(academy.daemon.url, "a key of its own")
    assert academy.ask("a.jpg")[0] == 404
    assert academy.ask("a.jpg", coll="")[0] == 403


@async_test
async def test_wrong_questions_are_refused(run_daemon: RunDaemon, tmp_path: Path) -> None:
    academy = Academy(run_daemon, tmp_path)
    assert academy.ask("a.jpg", search_type="colour")[0] == 400
    assert academy.ask("")[0] in (400, 403)
    assert academy.ask("a.jpg", coll="Birds")[0] == 404
    assert fetch(f"{academy.daemon.url}/getImageRecord?token=x")[0] == 400


@async_test
async def test_without_a_catalogue_nothing_is_known(run_daemon: RunDaemon) -> None:
    daemon = run_daemon()
    token = Client(daemon.url, KEY).token("a.jpg")
    assert fetch(f"{daemon.url}/getImageRecord?file_string=a.jpg&token={quote(token)}")[0] == 404
