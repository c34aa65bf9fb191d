"""Assets that are private, and those that are not, by every route, and after each change."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.conftest import RunDaemon
from tests.daemon.test_reload import reload
from tests.support import images, recordings
from tests.support.cli import run
from tests.support.client import Answer, Client, Form, file_part, text_part
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.databases import lose_sqlite
from tests.support.http_contract import RED, check_refused, new_name, photograph
from tests.support.specify_records import SpecifyRecords
from tests.web.test_admin import Watched
from was_daemon.web.contract.routes import AssetServer

async_test = pytest_twisted.ensureDeferred

SCALE = 50
SHARED = "public, s-maxage=75, max-age=300"
OWN = "private, max-age=300"

Ask = tuple[str, dict[str, str | int | None]]


def config(directory: Path, unknown: str = "private", **server: Any) -> dict[str, dict[str, Any]]:
    """That of a daemon with a catalogue that says what is private."""
    return {
        "server": {"require_token_for_get": "private", **server},
        "catalogue": {"path": directory / "catalogue.sqlite"},
        "visibility": {"unknown": unknown},
    }


def reading(name: str) -> dict[str, list[Ask]]:
    """Requests by which an asset is read, by the routes that answer them."""
    root, extension = name.rsplit(".", 1)
    fields: dict[str, str | int | None] = {"filename": name}
    thumbnail = {**fields, "type": "T", "scale": SCALE}
    return {
        "fileget": [("/fileget", {**fields, "type": "O"}), ("/fileget", thumbnail)],
        "getmetadata": [("/getmetadata", fields), ("/getmetadata", {**fields, "dt": "date"})],
        "getfileref": [("/getfileref", fields), ("/getfileref", thumbnail)],
        "static": [(f"/static/originals/{name}", {}), (f"/static/thumbnails/{root}_{SCALE}.{extension}", {})],
        "iiif": [
            (f"/iiif/3/{name}/info.json", {}),
            (f"/iiif/2/{name}/info.json", {}),
            (f"/iiif/3/{name}", {}),
            (f"/iiif/3/{name}/full/{SCALE},/0/default.jpg", {}),
            (f"/iiif/3/{name}/0,0,512,400/512,/0/default.jpg", {}),
        ],
        "presentation": [(f"/iiif/presentation/3/{name}/manifest", {})],
        "view": [("/view", fields)],
    }


OTHERS = {
    *("index", "discovery", "preflight", "options", "testkey", "fileupload", "filedelete", "viewer_file"),
    "get_image_record",
}
"""Routes by which nothing is read, or a token is needed always."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("private")
    daemon = Daemon(directory, config(directory)).start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def records(daemon: Daemon) -> SpecifyRecords:
    return SpecifyRecords(daemon.directory / "catalogue.sqlite")


@pytest.fixture
def client(daemon: Daemon) -> Client:
    return Client(daemon.url, KEY)


async def until(asked: Callable[[], Awaitable[Answer]], *statuses: int) -> Answer:
    """The first answer with one of these statuses; a change counts after some seconds."""
    deadline = time.monotonic() + 60
    while True:
        answer = await asked()
        if answer.status in statuses:
            return answer
        assert time.monotonic() < deadline, answer
        await deferLater(reactor, 0.05)


async def published(client: Client, records: SpecifyRecords, name: str) -> None:
    """Store a photograph that Specify says is public, and have everything made of it."""
    await client.store(name, photograph())
    records.put(name, True)
    await until(lambda: client.original(name), 200)
    for asks in reading(name).values():
        for path, fields in asks:
            await client.get(path, **fields)


async def hidden(client: Client, records: SpecifyRecords, name: str) -> None:
    """Have Specify say that an asset is private."""
    records.put(name, False)
    await until(lambda: client.original(name), 403)


def test_every_route_is_known_to_these_tests() -> None:
    assert set(AssetServer.app.endpoints) == reading("a.jpg").keys() | OTHERS


@async_test
async def test_what_is_public_is_read_by_every_route_without_a_token(client: Client, records: SpecifyRecords) -> None:
    name = new_name()
    await published(client, records, name)
    for route, asks in reading(name).items():
        for path, fields in asks:
            answer = await client.get(path, **fields)
            expected = 303 if path.endswith(name) and route == "iiif" else 200
            # The viewer may not be a part of this installation.
            assert answer.status == expected or (route, answer.status) == ("view", 501), (path, answer)
            if route in ("fileget", "getmetadata", "static"):
                assert answer.headers["Cache-Control"] == SHARED, path


@async_test
async def test_what_was_public_and_is_private_is_refused_by_every_route(
    client: Client, records: SpecifyRecords
) -> None:
    name = new_name()
    await published(client, records, name)
    await hidden(client, records, name)
    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    conditions = [{}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"}, {"If-Modified-Since": later}]
    for route, asks in reading(name).items():
        for path, fields in asks:
            for headers in conditions:
                for token in (None, client.token("other.jpg"), client.token(name, timestamp=1)):
                    refused = await client.get(path, headers=headers, **fields, token=token)
                    check_hidden(refused, route, name)
            refused = await client.head(path, **fields)
            assert (refused.status, refused.headers["ETag"], refused.headers["Last-Modified"]) == (403, None, None)


def check_hidden(answer: Answer, route: str, name: str) -> None:
    """Assert that an answer tells nothing of an asset."""
    if route == "view":
        # A page, which tells a person why.
        assert (answer.status, answer.headers["Cache-Control"]) == (403, "no-store")
    else:
        check_refused(answer, 403, KEY)
    told = {"ETag", "Last-Modified", "Content-Range", "Accept-Ranges", "Link", "Location"} & set(answer.headers)
    assert not told, answer


@async_test
async def test_with_a_token_what_is_private_is_read_but_not_below_static(
    client: Client, records: SpecifyRecords
) -> None:
    name = new_name()
    await published(client, records, name)
    await hidden(client, records, name)
    for route, asks in reading(name).items():
        for path, fields in asks:
            answer = await client.get(path, **fields, token=client.token(name))
            if route == "static":
                check_refused(answer, 403, KEY)
            elif route in ("fileget", "getmetadata"):
                assert (answer.status, answer.headers["Cache-Control"]) == (200, OWN), answer
            elif route == "getfileref":
                assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
                assert await followed(client, answer.text) == (200, OWN)
            else:
                # To an address with a permission in place of the token.
                assert (answer.status, answer.headers["Cache-Control"]) == (303, "no-store"), answer
                assert client.token(name).split(":")[0] not in answer.headers["Location"]


async def followed(client: Client, url: str) -> tuple[int, str]:
    """Status and Cache-Control at an address of the server."""
    parts = urlsplit(url)
    answer = await client.get(f"{parts.path}?{parts.query}")
    return answer.status, answer.headers["Cache-Control"]


@pytest.mark.slow
@async_test
async def test_a_signed_address_of_a_private_picture_leads_to_tiles_that_no_shared_cache_keeps(
    client: Client, records: SpecifyRecords
) -> None:
    name = new_name()
    await published(client, records, name)
    await hidden(client, records, name)
    signed = (await client.get(f"/iiif/3/{name}/info.json", token=client.token(name))).headers["Location"]
    base = urlsplit(signed).path.removesuffix("/info.json")
    for rest in (f"full/{SCALE},/0/default.jpg", "0,0,512,400/512,/0/default.jpg"):
        answer = await client.get(f"{base}/{rest}")
        assert (answer.status, answer.headers["Cache-Control"]) == (200, OWN)
    manifest = (await client.get(f"/iiif/presentation/3/{name}/manifest", token=client.token(name))).headers["Location"]
    told = await client.get(urlsplit(manifest).path)
    assert "rendering" not in told.json
    for address in (base.replace(name, new_name()), f"{base[:-1]}{'A' if base[-1] != 'A' else 'B'}"):
        check_refused(await client.get(f"{address}/info.json"), 403, KEY)


@pytest.mark.slow
@async_test
async def test_a_recording_is_private_as_a_picture_is(client: Client, records: SpecifyRecords) -> None:
    name = new_name(".wav")
    await client.store(name, recordings.sound("wav"))
    check_refused(await client.get(f"/iiif/presentation/3/{name}/media"), 403, KEY)
    records.put(name, True)
    await until(lambda: client.get(f"/iiif/presentation/3/{name}/media"), 200)
    await hidden(client, records, name)
    check_refused(await client.get(f"/iiif/presentation/3/{name}/media"), 403, KEY)


@pytest.mark.slow
@async_test
async def test_only_one_of_two_pictures_side_by_side_may_be_private(client: Client, records: SpecifyRecords) -> None:
    names = [new_name(), new_name()]
    for name in names:
        await published(client, records, name)
    await hidden(client, records, names[1])
    page = await client.get("/view", filename=names[0], filename2=names[1])
    assert page.status in (200, 501)
    assert "the token is missing" in page.text
    assert f"iiif/3/{names[1]}" not in page.text
    answer = await client.get("/view", filename=names[0], filename2=names[1], token2=client.token(names[1]))
    assert (answer.status, "token2=" in answer.headers["Location"]) == (303, True)


@async_test
async def test_names_that_do_not_exist_are_refused_like_private_ones(client: Client) -> None:
    for route, asks in reading(new_name()).items():
        for path, fields in asks:
            check_hidden(await client.get(path, **fields), route, "")
    absent = new_name()
    assert (await client.original(absent, token=client.token(absent))).status == 404


@pytest.mark.slow
@async_test
async def test_a_thumbnail_that_several_originals_may_have_is_that_of_a_public_one_only(
    client: Client, records: SpecifyRecords
) -> None:
    root = new_name("")
    private, public = f"{root}.tif", f"{root}.png"
    picture, shared = Image.new("RGB", (300, 200), RED), f"/static/thumbnails/{root}_{SCALE}.png"
    await client.store(private, images.encode(picture, "TIFF"))
    await client.store(public, images.encode(picture, "PNG"))
    records.put(public, True)
    await until(lambda: client.original(public), 200)
    assert (await client.thumbnail(private, SCALE, token=client.token(private))).status == 200
    check_refused(await client.get(shared), 403, KEY)
    assert (await client.thumbnail(public, SCALE)).status == 200
    assert (await client.get(shared)).status == 200


# -- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@async_test
async def test_a_new_upload_is_private_until_a_record_says_otherwise(client: Client, records: SpecifyRecords) -> None:
    name = new_name()
    await client.store(name, photograph())
    check_refused(await client.original(name), 403, KEY)
    records.put(name, None)
    records.put(name, True, number=1)
    await published(client, records, new_name())
    # One of its two records says nothing yet.
    check_refused(await client.original(name), 403, KEY)
    records.put(name, True)
    await until(lambda: client.original(name), 200)
    records.put(name, True, is_removed=True)
    records.put(name, True, number=1, is_removed=True)
    await until(lambda: client.original(name), 403)


@pytest.mark.slow
@async_test
async def test_where_unknown_is_public_a_new_upload_is_until_a_record_says_otherwise(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    daemon = run_daemon(config(tmp_path, unknown="public"))
    client, name = Client(daemon.url, KEY), new_name()
    await until(lambda: client.original(name), 404)
    await client.store(name, photograph())
    assert (await client.original(name)).status == 200
    SpecifyRecords(tmp_path / "catalogue.sqlite").put(name, False)
    await until(lambda: client.original(name), 403)


@pytest.mark.slow
@async_test
async def test_a_decision_by_hand_wins_until_it_is_taken_back(
    daemon: Daemon, client: Client, records: SpecifyRecords
) -> None:
    name = new_name()
    await published(client, records, name)
    decide(daemon, name, "--private", "--reason", "nest of a falcon")
    await until(lambda: client.original(name), 403)
    told = run("visibility", name, "--config", daemon.config_file)
    assert told.out.startswith(f"private   {name}: decided by hand on 20")
    assert told.out.endswith(": nest of a falcon\n")
    decide(daemon, name, "--public", "--reason", "fledged")
    records.put(name, False)
    await until(lambda: client.original(name), 200)
    decide(daemon, name, "--by-record")
    await until(lambda: client.original(name), 403)


def decide(daemon: Daemon, *arguments: str) -> None:
    decided = run("visibility", *arguments, "--config", daemon.config_file)
    assert (decided.code, decided.err) == (0, ""), decided


def private_form(client: Client, name: str, private: str, token: str | None = None) -> Form:
    """That of a tool which knows whether its file is private."""
    fields = {"store": name, "private": private, "token": client.token(name) if token is None else token}
    return Form.of(file_part(), *(text_part(field, value) for field, value in fields.items()))


@async_test
async def test_an_upload_may_say_that_it_is_private(run_daemon: RunDaemon, tmp_path: Path) -> None:
    daemon = run_daemon(config(tmp_path, unknown="public"))
    client = Client(daemon.url, KEY)
    await until(lambda: client.original(new_name()), 404)
    for value, status in (("1", 403), ("0", 200), ("", 200)):
        name = new_name()
        assert (await client.upload(private_form(client, name, value), photograph())).status == 200
        assert (await client.original(name)).status == status
    name = new_name()
    check_refused(await client.upload(private_form(client, name, "yes"), photograph()), 400, KEY)
    check_refused(await client.upload(private_form(client, name, "1", token="no"), photograph()), 403, KEY)
    assert (await client.original(name)).status == 404
    listed = run("visibility", "--json", "--config", daemon.config_file)
    assert [(each["visibility"], each["reason"]) for each in json.loads(listed.out)] == [("private", "upload")]


@async_test
async def test_an_upload_that_is_to_be_private_is_refused_where_it_would_not_be(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    client = Client(run_daemon().url, KEY)
    name = new_name()
    check_refused(await client.upload(private_form(client, name, "1"), photograph()), 400, KEY)
    assert (await client.original(name)).status == 404
    daemon = run_daemon(config(tmp_path))
    client = Client(daemon.url, KEY)
    lose_sqlite(tmp_path / "catalogue.sqlite")
    check_refused(await client.upload(private_form(client, name, "1"), photograph()), 503, KEY)
    # Others are stored.
    await client.store(new_name(), photograph())


@pytest.mark.slow
@async_test
async def test_without_the_database_the_last_known_state_counts_also_after_a_kill(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    daemon = run_daemon(config(tmp_path, unknown="public"))
    client, names = Client(daemon.url, KEY), [new_name(), new_name()]
    records = SpecifyRecords(tmp_path / "catalogue.sqlite")
    for name, is_public in zip(names, (True, False), strict=True):
        await client.store(name, photograph())
        records.put(name, is_public)
    await until(lambda: client.original(names[1]), 403)
    eventually(lambda: (tmp_path / "catalogue.journal.visibility").exists(), "for the file with what is private")
    await hidden(client, records, names[0])
    before = (tmp_path / "catalogue.journal.visibility").stat()
    records.put(names[0], True)
    await until(lambda: client.original(names[0]), 200)
    eventually(
        lambda: (tmp_path / "catalogue.journal.visibility").stat().st_mtime_ns != before.st_mtime_ns,
        "for the change to be saved",
    )
    daemon.kill()
    lose_sqlite(tmp_path / "catalogue.sqlite")
    daemon.start()
    assert [(await client.original(name)).status for name in names] == [200, 403]
    (tmp_path / "catalogue.journal.visibility").unlink()
    daemon.restart()
    # Nothing is known: then everything is private, whatever the setting.
    assert [(await client.original(name)).status for name in [*names, new_name()]] == [403] * 3


@pytest.mark.slow
@async_test
async def test_a_change_counts_on_every_process_and_daemon(run_daemon: RunDaemon, tmp_path: Path) -> None:
    first = run_daemon(config(tmp_path, workers=2))
    first.await_processes()
    store = {"main": {"plugin": "filesystem", "path": first.store}}
    second = run_daemon({**config(tmp_path), "stores": store})
    records, name = SpecifyRecords(tmp_path / "catalogue.sqlite"), new_name()
    clients = [Client(first.url, KEY), Client(second.url, KEY)]
    await clients[0].store(name, photograph())

    async def statuses() -> set[int]:
        # Two processes answer at the first address, by chance.
        return {(await each.original(name)).status for each in [clients[0]] * 20 + [clients[1]]}

    for is_public, status in ((True, 200), (False, 403)):
        records.put(name, is_public)
        deadline = time.monotonic() + 60
        while await statuses() != {status}:
            assert time.monotonic() < deadline
    decide(second, name, "--public", "--reason", "published")
    deadline = time.monotonic() + 60
    while await statuses() != {200}:
        assert time.monotonic() < deadline


@pytest.mark.slow
@async_test
async def test_the_setting_counts_from_a_reload_on(run_daemon: RunDaemon, tmp_path: Path) -> None:
    daemon = run_daemon()
    client, name = Client(daemon.url, KEY), new_name()
    await client.store(name, photograph())
    assert (await client.original(name)).status == 200
    reload(daemon, config(tmp_path))
    check_refused(await client.original(name), 403, KEY)
    SpecifyRecords(tmp_path / "catalogue.sqlite").put(name, True)
    await until(lambda: client.original(name), 200)
    reload(daemon, config(tmp_path, max_age=0))
    # What is known is kept.
    assert (await client.original(name)).headers["Cache-Control"] == "no-cache"
    reload(daemon, {})
    assert (await client.original(new_name())).status == 404


@async_test
async def test_each_collection_has_its_own_files(run_daemon: RunDaemon, tmp_path: Path) -> None:
    collections = {"mode": "map", "map": {"Fish": {"directory": "fishes"}, "Birds": {"directory": "birds"}}}
    daemon = run_daemon({**config(tmp_path), "collections": collections})
    client, name = Client(daemon.url, KEY), new_name()
    records = SpecifyRecords(tmp_path / "catalogue.sqlite")
    for coll in ("Fish", "Birds"):
        await client.store(name, photograph(), coll=coll)
    records.put(name, True, coll="fishes", number=1)
    records.put(name, False, coll="birds", number=2)
    await until(lambda: client.original(name, coll="Fish"), 200)
    assert (await client.get(f"/static/fishes/originals/{name}")).status == 200
    for answer in (
        await client.original(name, coll="Birds"),
        await client.get(f"/static/birds/originals/{name}"),
        await client.get(f"/iiif/3/Birds:{name}/info.json"),
        await client.original(name, coll="Worms"),
        await client.original(name),
    ):
        check_refused(answer, 403, KEY)
    assert (await client.original(name, coll="Worms", token=client.token(name))).status == 404


@pytest.mark.slow
@async_test
async def test_monitoring_tells_how_old_the_knowledge_is(run_daemon: RunDaemon, tmp_path: Path) -> None:
    watched = Watched(run_daemon, config(tmp_path))
    records = SpecifyRecords(tmp_path / "catalogue.sqlite")
    for name, is_public in (("a.jpg", True), ("b.jpg", False), ("c.jpg", None)):
        records.put(name, is_public)

    def numbers() -> list[float]:
        samples = watched.samples()
        return [samples["was_visibility_originals", frozenset({("state", state)})] for state in ("private", "public")]

    eventually(lambda: numbers() == [1, 1], "for both records to count")
    assert 0 <= watched.samples()["was_visibility_age_seconds", frozenset()] < 60
    status, document = watched.health()
    assert (status, document["visibility"]) == (200, "ok")
