"""The two DAMs of docs/rest.md, connected by the lines that are printed there."""

import re
import subprocess
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_twisted
import treq

from storage_plugins.rest import rest
from tests.conftest import RunDaemon
from tests.support import images
from tests.support.client import Client
from tests.support.daemon import BIN, KEY, clean_environment
from tests.support.example_dams import running_dam
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.relay import Relay
from tests.support.slow import slow_after
from was_daemon.config.load import load
from was_daemon.config.paths import PathResolver
from was_daemon.config.structure import Mistakes, structure
from was_daemon.daemon.reusable_parts import ReusableParts
from was_daemon.daemon.stores import build_stores
from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreTimeout
from was_daemon.model.interfaces import IAssetStore, ISizes
from was_daemon.model.keys import Kind
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.streams import chunked, collect, read_asset

GUIDE = ROOT / "docs" / "rest.md"
API_KEY = "sesame"

MakeStore = Callable[..., IAssetStore]


def documented(dam: str) -> dict[str, Any]:
    """The settings of the store that docs/rest.md has for a DAM."""
    block = re.search(rf"<!-- rest: {re.escape(dam)};.*?```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert block
    assert len(block[1].splitlines()) <= 20
    table: dict[str, Any] = tomllib.loads(block[1])["stores"]["main"]
    return table


@pytest.fixture(scope="module")
def fake_dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the DAM whose addresses are made of names."""
    with running_dam("fake_dam.py", tmp_path_factory.mktemp("dam") / "log") as port:
        yield port


@pytest.fixture
def numbered_dam(tmp_path: Path) -> Iterator[int]:
    """The port of an empty DAM with ids, which finds at once what has changed."""
    with running_dam("numbered_dam.py", tmp_path / "dam.log") as port:
        yield port


@pytest.fixture(scope="module")
def shared_dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a DAM with ids; each test has a collection of its own, `place`."""
    with running_dam("numbered_dam.py", tmp_path_factory.mktemp("shared") / "log") as port:
        yield port


@pytest.fixture
def place() -> str:
    """A collection that nobody uses."""
    return uuid4().hex


@pytest.fixture
def slow_dam(tmp_path: Path) -> Iterator[int]:
    """The port of an empty DAM with ids, which finds after 0.3 seconds what has changed."""
    with running_dam("numbered_dam.py", tmp_path / "dam.log", "0.3") as port:
        yield port


@pytest.fixture
def blind_dam(tmp_path: Path) -> Iterator[int]:
    """The port of an empty DAM with ids whose searches do not find what is new."""
    with running_dam("numbered_dam.py", tmp_path / "dam.log", "1000") as port:
        yield port


@pytest_twisted.async_yield_fixture
async def make_store(tmp_path: Path) -> AsyncIterator[MakeStore]:
    """Makes stores of the printed settings, closed with the test."""
    (tmp_path / "key").write_text(f"{API_KEY}\n")
    stores: list[IAssetStore] = []

    def make(dam: str, url: str, **changes: Any) -> IAssetStore:
        stores.append(rest.create(options(settings_for(dam, url, tmp_path, **changes), tmp_path)))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


def settings_for(dam: str, url: str, directory: Path, **changes: Any) -> dict[str, Any]:
    """The printed settings for the DAM at `url`, whose key is in a file in `directory`."""
    return documented(dam) | {"url": url, "allow_http": True, "secrets": {"key": str(directory / "key")}} | changes


def options(table: dict[str, Any], directory: Path) -> Any:
    """The options in a table of the configuration, which has no mistakes."""
    mistakes = Mistakes()
    table = {name: value for name, value in table.items() if name != "plugin"}
    made = structure(table, rest.options, "stores.main", PathResolver(directory, {}), mistakes)
    assert mistakes.lines == []
    return made


class RestContract(StoreContract):
    """What the contracts of both DAMs share."""

    timeout = 5.0
    dam: str
    path: str

    @pytest_twisted.async_yield_fixture
    async def relay(self, port: int) -> AsyncIterator[Relay]:
        """What is between the store and the DAM."""
        relay = Relay(port)
        relay.start()
        yield relay
        await relay.stop()

    @pytest.fixture
    def store(self, relay: Relay, make_store: MakeStore) -> IAssetStore:
        return make_store(self.dam, f"http://127.0.0.1:{relay.port}/{self.path or uuid4()}")

    @pytest.fixture
    def restart(self, relay: Relay) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            await relay.stop()
            relay.start()

        return restart

    @pytest.fixture
    def down(self, make_store: MakeStore) -> IAssetStore:
        return make_store(self.dam, f"http://127.0.0.1:{free_port()}/api", timeout=2.0)


@pytest.mark.slow
class TestAddressesMadeOfNames(RestContract):
    dam, path = "fake_dam.py", ""
    many = 600

    @pytest.fixture
    def port(self, fake_dam: int) -> int:
        return fake_dam


@pytest.mark.slow
class TestIds(RestContract):
    dam, path = "numbered_dam.py", "api"
    many = 300

    @pytest.fixture
    def port(self, numbered_dam: int) -> int:
        return numbered_dam


# -- as an operator does it --------------------------------------------------------------------------------------------


def write_config(directory: Path, dam: str, url: str) -> Path:
    """A configuration with the settings that are printed, for a DAM at `url` on this machine."""
    (directory / "key").write_text(f"{API_KEY}\n")
    (directory / "key").chmod(0o600)
    block = re.search(rf"<!-- rest: {re.escape(dam)};.*?```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert block
    printed = re.sub(r'"https://dam[^"]*"', f'"{url}"\nallow_http = true', block[1])
    printed = printed.replace("/etc/was-daemon/dam-key", str(directory / "key"))
    config = directory / "dam.toml"
    config.write_text(f'[server]\nkey = "{KEY}"\n{printed}')
    return config


@pytest.mark.parametrize("dam", slow_after(1, ["numbered_dam.py", "fake_dam.py"]))
def test_check_store_finds_every_promise_kept(tmp_path: Path, fake_dam: int, shared_dam: int, dam: str) -> None:
    url = f"http://127.0.0.1:{fake_dam}/{uuid4()}" if dam == "fake_dam.py" else f"http://127.0.0.1:{shared_dam}/api"
    command = [BIN / "was-daemon", "check-store", "main", "--config", write_config(tmp_path, dam, url)]
    finished = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), cwd=tmp_path)
    lines = finished.stdout.splitlines()
    assert len(lines) > 15, finished.stderr
    assert all(line.startswith("ok ") or ": the plugin cannot" in line for line in lines), lines
    assert finished.returncode == 0


@pytest.mark.slow
def test_check_store_says_what_the_dam_said(tmp_path: Path, shared_dam: int) -> None:
    config = write_config(tmp_path, "numbered_dam.py", f"http://127.0.0.1:{shared_dam}/api")
    (tmp_path / "key").write_text("not the key\n")
    config.write_text(config.read_text("utf-8") + 'message = "/message"\n', "utf-8")
    command = [BIN / "was-daemon", "check-store", "main", "--config", config]
    finished = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), cwd=tmp_path)
    assert finished.returncode == 1
    assert finished.stdout.startswith("FAILED  the store is reachable, readable and writable: StoreUnavailable:")
    assert "The API key is wrong." in finished.stdout.splitlines()[0]
    assert "not the key" not in finished.stdout + finished.stderr


@pytest_twisted.ensureDeferred
async def test_a_dam_with_ids_is_used_through_a_daemon(run_daemon: RunDaemon, tmp_path: Path, shared_dam: int) -> None:
    (tmp_path / "key").write_text(API_KEY)
    table = settings_for("numbered_dam.py", f"http://127.0.0.1:{shared_dam}/api", tmp_path)
    client = Client(run_daemon({"stores": {"main": table}}).url, KEY)
    name, content = "Käfer 100%.jpg", images.photograph()

    assert (await client.upload_like_specify7(name, content)).body == b"Ok."
    answer = await client.original(name)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, content, "image/jpeg")
    part = await client.original(name, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, content[1000:2000])
    assert (await client.original(name, headers={"If-None-Match": answer.headers["ETag"]})).status == 304
    assert (await client.thumbnail(name, 60)).image().size == (60, 40)

    assert (await client.delete(name)).body == b"Ok."
    assert (await client.original(name)).status == (await client.delete(name)).status == 404
    assert await folder(shared_dam, "originals") == []
    assert await folder(shared_dam, "thumbnails") == []


# -- a search that is late ---------------------------------------------------------------------------------------------


async def ask(port: int, method: str, path: str, **body: Any) -> Any:
    """What the DAM with ids answers to somebody who uses it beside the store."""
    answer = await treq.request(method, f"http://127.0.0.1:{port}/api{path}", headers={"X-Api-Key": API_KEY}, **body)
    return await answer.json()


async def folder(port: int, name: str) -> list[tuple[str, int]]:
    """The names and sizes of the assets in a folder of the DAM with ids."""
    return [(each["filename"], each["bytes"]) for each in (await ask(port, "GET", f"/assets?folder={name}"))["found"]]


async def upload(port: int, place: str, name: str, content: bytes) -> None:
    """Upload to the DAM with ids as somebody else does."""
    begun = await ask(port, "POST", "/uploads", json={"filename": name, "folder": f"{place}/originals"})
    await ask(port, "PUT", f"/uploads/{begun['upload']}/file", data=content)
    await ask(port, "POST", f"/uploads/{begun['upload']}/commit")


@pytest_twisted.ensureDeferred
async def test_every_daemon_finds_an_upload_that_was_confirmed_and_nothing_that_was_deleted(
    make_store: MakeStore, slow_dam: int
) -> None:
    ours, theirs = (make_store("numbered_dam.py", f"http://127.0.0.1:{slow_dam}/api") for _ in range(2))
    for content in (b"old", b"newer"):
        stat = await ours.write(original("a.jpg"), chunked(content))
        assert await theirs.stat(original("a.jpg")) == stat
        assert await read_asset(theirs, original("a.jpg")) == content
    assert await collect(ISizes(ours).sizes("")) == [5]
    await ours.delete(original("a.jpg"))
    with pytest.raises(AssetNotFound):
        await theirs.stat(original("a.jpg"))
    assert await collect(theirs.list("", Kind.ORIGINAL)) == []


@pytest_twisted.ensureDeferred
async def test_an_upload_that_the_dam_does_not_show_in_time_is_taken_back(
    make_store: MakeStore, blind_dam: int
) -> None:
    store = make_store("numbered_dam.py", f"http://127.0.0.1:{blind_dam}/api", delay=0.1, created="/asset/id")
    with pytest.raises(StoreTimeout, match="does not show the upload"):
        await store.write(original("a.jpg"), chunked(b"new"))
    await store.close()
    # The DAM gave the first number to the upload.
    assert (await ask(blind_dam, "GET", "/assets/4712"))["code"] == "unknown_asset"


def test_a_secret_that_is_replaced_counts_after_a_reload(tmp_path: Path) -> None:
    config = write_config(tmp_path, "numbered_dam.py", "http://127.0.0.1:1/api")

    def reload(before: ReusableParts | None) -> tuple[IAssetStore, ReusableParts]:
        parts = ReusableParts(before)
        return build_stores(load(config, {}), parts, Metrics())["main"], parts

    first, parts = reload(None)
    same, parts = reload(parts)
    assert same is first
    (tmp_path / "new").write_text("another key\n")
    (tmp_path / "new").rename(tmp_path / "key")
    assert reload(parts)[0] is not first


# -- a name that is found twice ----------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_of_two_assets_of_one_name_the_newest_is_shown_and_both_are_replaced(
    make_store: MakeStore, shared_dam: int, place: str
) -> None:
    # What a daemon leaves that was killed between the two steps.
    store = make_store("numbered_dam.py", f"http://127.0.0.1:{shared_dam}/api")
    await store.write(original("a.jpg", place), chunked(b"old"))
    await upload(shared_dam, place, "a.jpg", b"newer")
    assert await read_asset(store, original("a.jpg", place)) == b"newer"
    assert await collect(store.list(place, Kind.ORIGINAL)) == [original("a.jpg", place)]
    await store.write(original("a.jpg", place), chunked(b"newest"))
    assert await folder(shared_dam, f"{place}/originals") == [("a.jpg", 6)]


@pytest_twisted.ensureDeferred
async def test_a_deletion_deletes_all_assets_of_the_name_and_no_other(
    make_store: MakeStore, shared_dam: int, place: str
) -> None:
    store = make_store("numbered_dam.py", f"http://127.0.0.1:{shared_dam}/api")
    for name, content in (("a.jpg", b"old"), ("a.jpg", b"newer"), ("A.jpg", b"another"), ("a jpg", b"words")):
        await upload(shared_dam, place, name, content)
    await store.delete(original("a.jpg", place))
    with pytest.raises(AssetNotFound):
        await store.open(original("a.jpg", place))
    assert sorted(await folder(shared_dam, f"{place}/originals")) == [("A.jpg", 7), ("a jpg", 5)]


@pytest_twisted.ensureDeferred
async def test_where_names_must_be_unique_one_that_is_not_is_an_error(
    make_store: MakeStore, shared_dam: int, place: str
) -> None:
    store = make_store("numbered_dam.py", f"http://127.0.0.1:{shared_dam}/api", duplicates="refuse")
    for content in (b"one", b"another"):
        await upload(shared_dam, place, "a.jpg", content)
    for call in (
        store.stat(original("a.jpg", place)),
        store.open(original("a.jpg", place)),
        store.delete(original("a.jpg", place)),
    ):
        with pytest.raises(StoreFailed, match="several assets of this name"):
            await call
    assert len(await folder(shared_dam, f"{place}/originals")) == 2


@pytest_twisted.ensureDeferred
async def test_results_of_many_pages_are_all_looked_through(make_store: MakeStore, shared_dam: int, place: str) -> None:
    store = make_store("numbered_dam.py", f"http://127.0.0.1:{shared_dam}/api")
    names = [f"moth-{number} of a series.jpg" for number in range(120)]
    for name in [*names, "series of a.jpg"]:
        await upload(shared_dam, place, name, name.encode())
    assert await read_asset(store, original("series of a.jpg", place)) == b"series of a.jpg"
    assert {key.name for key in await collect(store.list(place, Kind.ORIGINAL, "moth-"))} == set(names)
