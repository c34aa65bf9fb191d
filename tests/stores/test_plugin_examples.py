"""The plugins in docs/examples do what docs/plugins.md says, in front of the DAM that ships with them."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_twisted
import treq
from PIL import Image
from zope.interface.verify import verifyObject

import storage_plugins
from tests.conftest import RunDaemon
from tests.support import images
from tests.support.client import Answer, Client
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, eventually
from tests.support.guides import start_commands
from tests.support.http_contract import HTTPContract
from tests.support.iiif import valid_manifest
from tests.support.likeness import difference
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.relay import Relay
from tests.support.remotes import files_below
from was_daemon.config.plugins import find_plugins
from was_daemon.model.errors import AssetNotFound, BrokenImage, NoThumbnail, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import IAssetReader, IAssetStore, IAssetStorePlugin, IRedirects, IThumbnails
from was_daemon.model.keys import Kind
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.streams import chunked, collect, payload, read_asset, read_reader
from was_daemon.web.capabilities import grant

EXAMPLES = ROOT / "docs" / "examples"
GUIDE = ROOT / "docs" / "plugins.md"
API_KEY, READING_KEY = "sesame", "peephole"
LIBRARY = "redirecting"
BROKEN = images.encode(images.chart(), "PNG")[:200]

MakeStore = Callable[..., IAssetStore]


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a DAM; a test uses a library of its own."""
    port = free_port()
    log = tmp_path_factory.mktemp("dam") / "dam.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, EXAMPLES / "fake_dam.py", str(port)], stdout=output, stderr=output)
    eventually(lambda: process.poll() is not None or _listens(port), "for the DAM to listen")
    yield port
    process.terminate()
    process.wait()
    assert "Traceback" not in log.read_text()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def library(dam: int) -> str:
    """The address of a library that nobody uses."""
    return f"http://127.0.0.1:{dam}/{uuid4()}"


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, IAssetStorePlugin]:
    """The plugins, with docs/examples dropped in."""
    monkeypatch.setattr(storage_plugins, "__path__", list(storage_plugins.__path__))
    return find_plugins([EXAMPLES])


@pytest_twisted.async_yield_fixture
async def make_store(plugins: dict[str, IAssetStorePlugin]) -> AsyncIterator[MakeStore]:
    """Makes stores by name of their plugin and options; they are closed with the test."""
    stores: list[IAssetStore] = []

    def make(plugin: str, url: str, api_key: str = API_KEY) -> IAssetStore:
        stores.append(plugins[plugin].create(plugins[plugin].options(url=url, api_key=api_key)))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


@pytest_twisted.async_yield_fixture
async def relay(dam: int) -> AsyncIterator[Relay]:
    relay = Relay(dam)
    relay.start()
    yield relay
    await relay.stop()


@pytest.mark.slow
class TestRestDAM(StoreContract):
    timeout = 5.0

    @pytest.fixture
    def store(self, relay: Relay, make_store: MakeStore) -> IAssetStore:
        return make_store("rest-dam", f"http://127.0.0.1:{relay.port}/{uuid4()}")

    @pytest.fixture
    def restart(self, relay: Relay) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            await relay.stop()
            relay.start()

        return restart

    @pytest.fixture
    def down(self, make_store: MakeStore) -> IAssetStore:
        return make_store("rest-dam", f"http://127.0.0.1:{free_port()}/library")


def test_the_example_is_short() -> None:
    assert len((EXAMPLES / "storage_plugins" / "rest_dam.py").read_text("utf-8").splitlines()) <= 90


@pytest.mark.parametrize(("name", "powers"), [("rest-dam", ()), ("rest-dam-plus", (IRedirects, IThumbnails))])
def test_the_plugins_provide_the_interfaces(
    plugins: dict[str, IAssetStorePlugin], make_store: MakeStore, library: str, name: str, powers: tuple[Any, ...]
) -> None:
    verifyObject(IAssetStorePlugin, plugins[name])
    store = make_store(name, library)
    for interface in (IAssetStore, *powers):
        verifyObject(interface, store)
    assert IRedirects.providedBy(store) == IThumbnails.providedBy(store) == bool(powers)
    assert str(store) == f"the DAM library {library}"


# -- the DAM says no ---------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_key_that_may_not_write_is_found_by_the_check(make_store: MakeStore, library: str) -> None:
    store = make_store("rest-dam", library, READING_KEY)
    with pytest.raises(StoreUnavailable, match="denied permission"):
        await store.check()
    with pytest.raises(StoreUnavailable, match="denied permission"):
        await store.write(original("a.jpg"), chunked(b"a"))


@pytest_twisted.ensureDeferred
async def test_a_wrong_key_is_a_refused_login(make_store: MakeStore, library: str) -> None:
    store = make_store("rest-dam-plus", library, "wrong")
    for call in (
        store.check(),
        store.stat(original("a.jpg")),
        collect(store.list("", Kind.ORIGINAL)),
        store.url(original("a.jpg"), "image/jpeg", None),
        store.thumbnail(original("a.jpg"), 50),
    ):
        with pytest.raises(StoreUnavailable, match="login"):
            await call


@pytest_twisted.ensureDeferred
async def test_a_page_instead_of_a_list_is_a_failure_of_the_store(
    make_store: MakeStore, filesystem_daemon: Daemon, filesystem_client: Client
) -> None:
    # What a proxy's login form looks like to the store.
    await filesystem_client.store("assets", b"<html>Who are you?</html>")
    store = make_store("rest-dam", f"{filesystem_daemon.url}/static/originals")
    with pytest.raises(StoreFailed, match="no proper answer"):
        await collect(store.list("", Kind.ORIGINAL))


@pytest_twisted.ensureDeferred
async def test_names_that_the_daemon_has_no_use_for_are_not_listed(make_store: MakeStore, library: str) -> None:
    store = make_store("rest-dam", library)
    await store.write(original("mine.jpg"), chunked(b"mine"))
    for path in ("originals/.hidden", "originals/below/a.jpg", "elsewhere/b.jpg"):
        answer = await treq.put(f"{library}/assets/{path}", b"x", headers={"Authorization": f"Bearer {API_KEY}"})
        assert answer.code == 201
    assert await collect(store.list("", Kind.ORIGINAL)) == [original("mine.jpg")]


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def config(library: str, plugin: str = "rest-dam", server: dict[str, Any] | None = None, **options: Any) -> Any:
    """A daemon's configuration with the examples dropped in and a library of the DAM as its store."""
    return {
        "server": server or {},
        "plugins": {"path": [EXAMPLES]},
        "stores": {"main": {"plugin": plugin, "url": library, "api_key": API_KEY, **options}},
    }


@pytest_twisted.ensureDeferred
async def test_the_dam_is_used_through_a_daemon(run_daemon: RunDaemon, make_store: MakeStore, library: str) -> None:
    client = Client(run_daemon(config(library)).url, KEY)
    store = make_store("rest-dam", library)
    name, content = "Käfer 100%.jpg", images.photograph()

    assert (await client.upload_like_specify7(name, content)).body == b"Ok."
    assert await read_asset(store, original(name)) == content

    answer = await client.original(name)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, content, "image/jpeg")
    part = await client.original(name, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, content[1000:2000])
    assert (await client.original(name, headers={"If-None-Match": answer.headers["ETag"]})).status == 304
    assert (await client.metadata(name, dt="date")).text == images.TAKEN

    thumbnail = await client.thumbnail(name, 60)
    assert (thumbnail.status, thumbnail.image().size) == (200, (60, 40))
    assert await collect(store.list("", Kind.THUMBNAIL)) == [original(name).thumbnail(60)]

    assert (await client.delete(name)).body == b"Ok."
    assert (await client.original(name)).status == (await client.delete(name)).status == 404
    assert [key for kind in Kind for key in await collect(store.list("", kind))] == []


@pytest.mark.slow
class TestOverHTTP(HTTPContract):
    @pytest.fixture(scope="class")
    @classmethod
    def daemon(cls, dam: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
        document = config(f"http://127.0.0.1:{dam}/over-http", server={"max_upload": "8 MiB"})
        daemon = Daemon(tmp_path_factory.mktemp("over-http"), document).start()
        yield daemon
        daemon.stop()

    @pytest.fixture
    def client(self, daemon: Daemon) -> Client:
        return Client(daemon.url, KEY)


@pytest_twisted.ensureDeferred
async def test_large_files_stream_through_the_daemon(run_daemon: RunDaemon, library: str) -> None:
    daemon = run_daemon(config(library))
    client, content = Client(daemon.url, KEY), payload(100_000_000)
    await client.store("small.bin", b"small")
    before = daemon.memory()
    daemon.forget_peak()
    await client.store("large.bin", content)
    assert (await client.original("large.bin")).body == content
    assert daemon.peak_memory() - before < 50_000_000


def test_check_store_finds_every_promise_kept(tmp_path: Path, library: str) -> None:
    daemon = Daemon(tmp_path, config(library))
    lines = check_store(daemon, "main").stdout.splitlines()
    assert lines
    others = [line for line in lines if not line.startswith("ok ")]
    assert others == [
        "skipped the listing tells sizes: the plugin cannot, each file is asked for its size",
        "skipped of two uploads of a new name one is refused: the plugin cannot: "
        "with overwrite = false, two daemons may both accept an upload of one new name at the same moment",
        "skipped the store moves files to the trash and back by itself: "
        "the plugin cannot, the daemon reads and writes the bytes of what is deleted",
    ]


def test_check_store_says_once_that_a_store_cannot_be_reached(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, config(f"http://127.0.0.1:{free_port()}/{LIBRARY}"))
    finished = check_store(daemon, "main")
    first, *others = finished.stdout.splitlines()
    assert finished.returncode == 1
    assert first.startswith(
        "FAILED  the store is reachable, readable and writable: StoreUnavailable: the store cannot be reached "
        "(ConnectionRefusedError "
    )
    assert len(others) == 19
    assert all(line.startswith("skipped ") for line in others), others
    assert finished.stderr.count("ConnectionRefusedError") == 1


def check_store(daemon: Daemon, name: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / "was-daemon", "check-store", name, "--config", daemon.config_file]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), cwd=daemon.directory)


def test_a_url_that_is_none_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, config("dam.example.org"))
    assert daemon.launch().wait(60) == 1
    assert re.search(r"stores\.main.*'url'", daemon.log())
    assert API_KEY not in daemon.log()


# -- IRedirects --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redirecting(dam: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that wants tokens, and sends clients that have one to the DAM."""
    document = config(
        f"http://127.0.0.1:{dam}/{LIBRARY}", "rest-dam-plus", {"require_token_for_get": True}, redirect=True
    )
    daemon = Daemon(tmp_path_factory.mktemp("redirecting"), document).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def client(redirecting: Daemon) -> Client:
    return Client(redirecting.url, KEY)


async def follow(answer: Answer, method: str = "GET", **headers: str) -> tuple[Any, bytes]:
    """What a client without any key gets where it is sent to."""
    response = await treq.request(method, answer.headers["Location"], headers=headers, allow_redirects=False)
    return response, await response.content()


@pytest_twisted.ensureDeferred
async def test_a_client_with_a_token_is_sent_to_the_dam(client: Client, dam: int) -> None:
    await client.store("a.jpg", images.photograph())
    answer = await client.original("a.jpg", token=client.token("a.jpg"), downloadname="Käfer.jpg")
    assert answer.status == 302
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert urlsplit(answer.headers["Location"]).port == dam
    response, content = await follow(answer)
    assert (response.code, content) == (200, images.photograph())
    assert response.headers.getRawHeaders("Content-Type") == ["image/jpeg"]
    assert response.headers.getRawHeaders("Content-Disposition") == ["inline; filename*=utf-8''K%C3%A4fer.jpg"]
    response, content = await follow(answer, Range="bytes=10-19")
    assert (response.code, content) == (206, images.photograph()[10:20])


@pytest_twisted.ensureDeferred
async def test_the_dam_says_the_encoding_of_a_text(client: Client) -> None:
    await client.store("a.txt", "Käfer".encode())
    response, content = await follow(await client.original("a.txt", token=client.token("a.txt")))
    assert (response.code, content.decode()) == (200, "Käfer")
    assert response.headers.getRawHeaders("Content-Type") == ["text/plain; charset=utf-8"]


@pytest_twisted.ensureDeferred
async def test_head_is_answered_here_as_addresses_may_be_for_get_alone(client: Client) -> None:
    await client.store("a.jpg", images.photograph())
    fields = {"filename": "a.jpg", "type": "O", "token": client.token("a.jpg")}
    answer = await client.head("/fileget", **fields)
    assert (answer.status, answer.body, answer.headers["Location"]) == (200, b"", None)
    assert answer.headers["Content-Length"] == str(len(images.photograph()))


@pytest.mark.parametrize("ending", [".html", ".xhtml", ".xml", ".svg", ".HTM"])
@pytest_twisted.ensureDeferred
async def test_what_a_browser_would_run_comes_from_here_with_its_policy(client: Client, ending: str) -> None:
    name, content = f"page{ending}", b"<script>alert(1)</script>"
    await client.store(name, content)
    answer = await client.original(name, token=client.token(name))
    assert (answer.status, answer.body, answer.headers["Location"]) == (200, content, None)
    assert answer.headers["Content-Security-Policy"] == "sandbox"


@pytest_twisted.ensureDeferred
async def test_nobody_is_sent_anywhere_without_a_token(client: Client) -> None:
    await client.store("a.jpg", images.photograph())
    for token in (None, "", "a:b", client.token("b.jpg")):
        answer = await client.original("a.jpg", token=token)
        assert (answer.status, answer.headers["Location"]) == (403, None)


@pytest_twisted.ensureDeferred
async def test_what_is_not_there_is_not_found_before_anybody_is_sent(client: Client) -> None:
    answer = await client.original("missing.jpg", token=client.token("missing.jpg"))
    assert (answer.status, answer.headers["Location"]) == (404, None)


@pytest_twisted.ensureDeferred
async def test_the_address_is_good_for_one_asset_and_for_reading(client: Client) -> None:
    for name in ("a.jpg", "b.jpg"):
        await client.store(name, images.photograph())
    url = (await client.original("a.jpg", token=client.token("a.jpg"))).headers["Location"]
    for method, changed in (
        ("GET", url.replace("a.jpg", "b.jpg")),
        ("GET", url.replace("expires=", "expires=9")),
        ("GET", url.partition("?")[0]),
        ("DELETE", url),
    ):
        assert (await treq.request(method, changed)).code == 401


@pytest_twisted.ensureDeferred
async def test_only_originals_are_fetched_elsewhere(client: Client) -> None:
    await client.store("a.jpg", images.photograph())
    token = client.token("a.jpg")
    assert (await client.thumbnail("a.jpg", 50, token=token)).status == 200
    assert (await client.metadata("a.jpg", token=token)).status == 200
    assert (await client.get("/static/originals/a.jpg")).body == images.photograph()


@pytest_twisted.ensureDeferred
async def test_thumbnails_are_fetched_where_they_are_kept(run_daemon: RunDaemon, library: str, tmp_path: Path) -> None:
    document = config(library, "rest-dam-plus", redirect="presigned", redirect_thumbnails=True)
    stores = {
        "local": {"plugin": "filesystem", "path": str(tmp_path / "originals")},
        "kept": document["stores"]["main"],
    }
    thumbnails = {"store": "kept"}
    client = Client(run_daemon({**document, "stores": stores, "thumbnails": thumbnails}).url, KEY)
    await client.store("a.jpg", images.photograph())
    for _ in range(2):
        answer = await client.thumbnail("a.jpg", 60, downloadname="b.jpg")
        assert (answer.status, answer.headers["Cache-Control"]) == (302, "no-store")
        assert "thumbnails/a_60.jpg" in answer.headers["Location"]
        response, content = await follow(answer)
        assert (response.code, response.headers.getRawHeaders("Content-Type")) == (200, ["image/jpeg"])
        assert Answer(200, Message(), content).image().size == (60, 40)
    answer = await client.head("/fileget", filename="a.jpg", type="T", scale=60)
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(content)))
    # What several originals may have in common, and what lies elsewhere, comes from the daemon.
    await client.store("a.png", images.photograph())
    assert (await client.thumbnail("a.png", 60)).status == 200
    assert (await client.original("a.jpg")).body == images.photograph()
    assert (await client.get("/static/thumbnails/a_60.jpg")).body == content
    assert (await client.thumbnail("b.jpg", 60)).status == 404


@pytest_twisted.ensureDeferred
async def test_nobody_is_redirected_unless_the_configuration_says_so(run_daemon: RunDaemon, library: str) -> None:
    client = Client(run_daemon(config(library, "rest-dam-plus")).url, KEY)
    await client.store("a.jpg", images.photograph())
    assert (await client.original("a.jpg")).body == images.photograph()


def test_a_store_that_has_no_addresses_cannot_redirect(tmp_path: Path, library: str) -> None:
    daemon = Daemon(tmp_path, config(library, "rest-dam", redirect=True))
    assert daemon.launch().wait(60) == 1
    assert "stores.main.redirect" in daemon.log()


@pytest_twisted.ensureDeferred
async def test_an_asset_that_is_missing_has_no_address(make_store: MakeStore, library: str) -> None:
    with pytest.raises(AssetNotFound):
        await make_store("rest-dam-plus", library).url(original("missing.jpg"), "image/jpeg", None)


# -- IThumbnails -------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_thumbnails_of_the_dam_come_with_their_own_media_type(
    client: Client, dam: int, make_store: MakeStore
) -> None:
    await client.store("a.jpg", images.photograph())
    token = client.token("a.jpg")
    answer = await client.thumbnail("a.jpg", 60, token=token)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    assert (answer.image().format, answer.image().size) == ("WEBP", (60, 40))
    again = await client.thumbnail("a.jpg", 60, token=token, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    static = await client.get("/static/thumbnails/a_60.jpg")
    assert (static.body, static.headers["Content-Type"]) == (answer.body, "image/webp")
    store = make_store("rest-dam-plus", f"http://127.0.0.1:{dam}/{LIBRARY}")
    assert await collect(store.list("", Kind.THUMBNAIL)) == []


@pytest_twisted.ensureDeferred
async def test_the_thumbnail_of_a_replaced_original_is_a_new_one(client: Client) -> None:
    token = client.token("replaced.jpg")
    await client.store("replaced.jpg", images.photograph())
    old = await client.thumbnail("replaced.jpg", 60, token=token)
    await client.store("replaced.jpg", images.photograph((400, 600)))
    new = await client.thumbnail("replaced.jpg", 60, token=token)
    assert new.image().size == (40, 60)
    assert new.headers["ETag"] != old.headers["ETag"]


@pytest_twisted.ensureDeferred
async def test_without_an_original_there_is_no_thumbnail(client: Client) -> None:
    token = client.token("gone.jpg")
    assert (await client.thumbnail("gone.jpg", 60, token=token)).status == 404
    await client.store("gone.jpg", images.photograph())
    assert (await client.thumbnail("gone.jpg", 60, token=token)).status == 200
    assert (await client.delete("gone.jpg")).body == b"Ok."
    assert (await client.thumbnail("gone.jpg", 60, token=token)).status == 404


@pytest_twisted.ensureDeferred
async def test_what_the_dam_cannot_show_is_told_as_usual(client: Client) -> None:
    await client.store("notes.txt", b"no picture")
    await client.store("broken.png", BROKEN)
    assert (await client.thumbnail("notes.txt", 60, token=client.token("notes.txt"))).status == 415
    assert (await client.thumbnail("broken.png", 60, token=client.token("broken.png"))).status == 422


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_is_a_reader_like_any_other(make_store: MakeStore, library: str) -> None:
    store = make_store("rest-dam-plus", library)
    await store.write(original("a.jpg"), chunked(images.photograph()))
    reader, media_type = await store.thumbnail(original("a.jpg"), 60)
    verifyObject(IAssetReader, reader)
    content = await read_reader(reader)
    assert (media_type, reader.stat.size) == ("image/webp", len(content))
    assert await read_reader(reader, 10, 20) == content[10:20]
    await reader.close()


@pytest_twisted.ensureDeferred
async def test_why_there_is_no_thumbnail_is_told_in_the_daemons_words(make_store: MakeStore, library: str) -> None:
    store = make_store("rest-dam-plus", library)
    await store.write(original("notes.txt"), chunked(b"no picture"))
    await store.write(original("broken.png"), chunked(BROKEN))
    for name, error in (("missing.jpg", AssetNotFound), ("notes.txt", NoThumbnail), ("broken.png", BrokenImage)):
        with pytest.raises(error):
            await store.thumbnail(original(name), 60)


@pytest_twisted.ensureDeferred
async def test_thumbnails_of_another_store_are_made_by_the_daemon(
    run_daemon: RunDaemon, make_store: MakeStore, library: str, tmp_path: Path
) -> None:
    document = config(library, "rest-dam-plus")
    document["stores"]["local"] = {"plugin": "filesystem", "path": tmp_path / "thumbnails"}
    document |= {"collections": {"store": "main"}, "thumbnails": {"store": "local"}}
    client = Client(run_daemon(document).url, KEY)
    await client.store("a.jpg", images.photograph())
    assert (await client.thumbnail("a.jpg", 60)).headers["Content-Type"] == "image/jpeg"
    assert (tmp_path / "thumbnails" / "thumbnails" / "a_60.jpg").exists()
    assert await collect(make_store("rest-dam", library).list("", Kind.THUMBNAIL)) == []


# -- IImageProxy -------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_pictures_of_the_dam_are_seen_through_the_daemon(run_daemon: RunDaemon, library: str) -> None:
    document = config(library, "rest-dam-pictures")
    document["server"] = {"require_token_for_get": True, "public_url": "https://assets.example.org"}
    client = Client(run_daemon(document).url, KEY)
    await client.store("a b.jpg", images.photograph((600, 400)))
    assert (await client.get("/iiif/3/a%20b.jpg/info.json")).status == 403
    signed = f"/iiif/3/a%20b.jpg;{grant(KEY, None, 'a b.jpg', int(time.time()) + 60)}"
    told = await client.get(f"{signed}/info.json")
    assert (told.json["id"], told.json["width"]) == (f"https://assets.example.org{signed}", 600)
    assert "127.0.0.1" not in told.text
    again = await client.get(f"{signed}/info.json", headers={"If-None-Match": told.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    part = await client.get(f"{signed}/100,100,200,100/100,50/0/default.jpg")
    assert (part.status, part.headers["Content-Type"], part.image().size) == (200, "image/jpeg", (100, 50))
    assert part.headers["Access-Control-Allow-Origin"] == "*" and "private" in part.headers["Cache-Control"]
    known = {"If-None-Match": part.headers["ETag"]}
    assert (await client.get(f"{signed}/100,100,200,100/100,50/0/default.jpg", headers=known)).status == 304
    whole = await client.get(f"{signed}/full/max/0/default.jpg")
    expected = Image.open(io.BytesIO(images.photograph((600, 400)))).convert("RGB")
    assert difference(whole.image(), expected) <= 4
    manifest = (await client.get(f"{signed.replace('/iiif/3/', '/iiif/presentation/3/')}/manifest")).json
    valid_manifest(manifest)
    (canvas,) = manifest["items"]
    assert (canvas["width"], canvas["height"]) == (600, 400)
    service = canvas["items"][0]["items"][0]["body"]["service"][0]["id"]
    assert service == f"https://assets.example.org{signed}"


@pytest_twisted.ensureDeferred
async def test_what_the_dam_says_no_to_is_told_in_the_daemons_words(run_daemon: RunDaemon, library: str) -> None:
    client = Client(run_daemon(config(library, "rest-dam-pictures")).url, KEY)
    await client.store("a.jpg", images.photograph())
    await client.store("a.txt", b"text")
    for path, status in {
        "3/missing.jpg/info.json": 404,
        "3/missing.jpg/full/max/0/default.jpg": 404,
        "3/a.jpg;2/info.json": 404,
        "3/a.txt/info.json": 415,
        "3/a.jpg/full/max/400/default.jpg": 400,
        "3/a.jpg/pct:1,1,5,5/max/0/default.jpg": 400,
        "presentation/3/missing.jpg/manifest": 404,
    }.items():
        answer = await client.get(f"/iiif/{path}")
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, "*"), path
        assert "127.0.0.1" not in answer.text


# -- ILocalFiles -------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_with_local_files_nothing_is_copied(run_daemon: RunDaemon, library: str) -> None:
    local, remote = run_daemon(), run_daemon(config(library))
    for daemon in (local, remote):
        client = Client(daemon.url, KEY)
        await client.store("a.jpg", images.photograph())
        assert (await client.thumbnail("a.jpg", 60)).status == 200
    for daemon, size in ((local, 0), (remote, len(images.photograph()))):
        spool = daemon.directory / "spool"
        # What was written on the way is removed after the answer.
        eventually(
            lambda spool=spool, size=size: sum(files_below(spool).values()) == size, f"for {size} bytes in the spool"
        )


# -- the guide ---------------------------------------------------------------------------------------------------------


def blocks(language: str, section: str) -> list[str]:
    """The code blocks in a section of the guide."""
    [text] = [part for part in GUIDE.read_text("utf-8").split("\n## ") if part.startswith(f"{section}\n")]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_guide_quotes_the_example_as_it_is() -> None:
    example = (EXAMPLES / "storage_plugins" / "rest_dam.py").read_text("utf-8")
    quotations = blocks("python", "A complete example")
    assert quotations
    assert [text for text in quotations if text not in example] == []


@pytest.mark.slow
def test_the_guides_test_file_works_as_it_is_printed(tmp_path: Path, dam: int) -> None:
    [text] = blocks("python", "Prove that it works")
    assert text.count("http://localhost:8000") == 1
    test_file = tmp_path / "test_rest_dam.py"
    test_file.write_text(text.replace("localhost:8000", f"127.0.0.1:{dam}"))
    (tmp_path / "storage_plugins").symlink_to(EXAMPLES / "storage_plugins")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "ranges or legal", test_file]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout
    assert "3 passed" in finished.stdout


def test_the_guides_commands_work_as_they_are_printed(tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    dam, daemon = free_port(), free_port()
    changes = {
        "8000": str(dam),
        "[server]\n": f'[server]\nlisten = ["tcp:{daemon}:interface=127.0.0.1"]\n',
        "twistd -n was": "twistd -n --pidfile= was",
    }
    started = []
    try:
        for text, port in zip(blocks("sh", "A complete example"), (dam, daemon), strict=True):
            for printed, changed in changes.items():
                text = text.replace(printed, changed)
            started.append(start_commands(text, tmp_path))
            eventually(lambda port=port: started[-1].poll() is not None or _listens(port), "for a server to listen")
        output = (tmp_path / "output").read_text()
        assert [process.poll() for process in started] == [None, None], output
        assert output.count("ok ") == 18
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def test_the_guides_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", GUIDE.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (GUIDE.parent / target).exists()] == []
