"""The asset-server store keeps its promises in front of a daemon like this one."""

import io
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.conftest import RunDaemon
from tests.stores.asset_server.conftest import MakeStore
from tests.support.daemon import KEY, Daemon
from tests.support.ports import free_port
from was_daemon.model.interfaces import IAssetStore, IThumbnails
from was_daemon.stores.layers.named import named
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.streams import chunked, payload, read_asset, read_reader

COLLECTIONS = {"": "Root", "Fish/Types": "FishTypes", "Nothing/Yet": "NothingYet"}
LARGE = payload(3_000_000)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = {"collections": {"mode": "auto"}, "server": {"require_token_for_get": True}}
    daemon = Daemon(tmp_path_factory.mktemp("ours"), config).start()
    yield daemon
    daemon.stop()


@pytest.mark.slow
class TestOurs(StoreContract):
    """The contract. The names that are listed are those of the far daemon's files."""

    timeout = 10.0
    many = 200  # each is sent in a form

    # Another asset server keeps originals only.
    test_collections_and_kinds_are_kept_apart = None  # type: ignore[assignment]
    test_the_trash_holds_assets_that_no_other_listing_shows = None  # type: ignore[assignment]

    @pytest.fixture
    def store(self, daemon: Daemon, make_store: MakeStore) -> IAssetStore:
        for directory in daemon.store.iterdir():
            if not directory.name.startswith("."):
                shutil.rmtree(directory)

        async def names(directory: str) -> AsyncGenerator[str, None]:
            originals = daemon.store / COLLECTIONS.get(directory, directory) / "originals"
            for path in list(originals.iterdir()) if originals.exists() else []:
                if not path.name.startswith("."):
                    yield path.name

        return named(make_store(daemon.url, key=KEY, collections=COLLECTIONS), names)

    @pytest.fixture
    def restart(self, daemon: Daemon) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            daemon.restart()

        return restart

    @pytest.fixture
    def down(self, make_store: MakeStore) -> IAssetStore:
        async def nothing(_directory: str) -> AsyncGenerator[str, None]:
            for name in ():
                yield name

        return make_store(f"http://127.0.0.1:{free_port()}", key=KEY)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_an_upload_may_take_longer_than_a_token_lasts(run_daemon: RunDaemon, make_store: MakeStore) -> None:
    store = make_store(run_daemon({"server": {"token_window": 5}}).url, key=KEY)

    async def slow() -> AsyncIterator[bytes]:
        yield LARGE
        await deferLater(reactor, 7)
        yield b"end"

    await store.write(original("slow.bin"), slow(), len(LARGE) + 3)
    assert await read_asset(store, original("slow.bin")) == LARGE + b"end"


@pytest_twisted.ensureDeferred
async def test_the_daemon_makes_the_thumbnails(filesystem_daemon: Daemon, make_store: MakeStore) -> None:
    store = make_store(filesystem_daemon.url, key=KEY)
    assert IThumbnails.providedBy(store)
    for name, kind in {"far.jpg": "JPEG", "far.png": "PNG"}.items():
        content = io.BytesIO()
        Image.new("RGBA" if kind == "PNG" else "RGB", (60, 40)).save(content, kind)
        await store.write(original(name), chunked(content.getvalue()))
        reader, _ = await store.thumbnail(original(name), 30)
        with Image.open(io.BytesIO(await read_reader(reader))) as thumbnail:
            thumbnail.load()
            assert thumbnail.size == (30, 20)


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_that_the_daemon_has_marked_needs_no_time(
    filesystem_daemon: Daemon, make_store: MakeStore
) -> None:
    """The daemon tells an earlier time while the second lasts in which it made the thumbnail."""
    store = make_store(filesystem_daemon.url, key=KEY)
    assert IThumbnails.providedBy(store)
    content = io.BytesIO()
    Image.new("RGB", (60, 40)).save(content, "JPEG")
    await store.write(original("marked.jpg"), chunked(content.getvalue()))
    await store.thumbnail(original("marked.jpg"), 30)
    (stored,) = (filesystem_daemon.store / "thumbnails").glob("marked_30.*")
    os.utime(stored, (1e9, 1e9))
    reader, _ = await store.thumbnail(original("marked.jpg"), 30)
    with Image.open(io.BytesIO(await read_reader(reader))) as thumbnail:
        assert thumbnail.size == (30, 20)
