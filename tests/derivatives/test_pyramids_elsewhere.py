"""Pyramids that several daemons share, in a store of their own: what they cost, and that none is outdated."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.web.server import Request, Site

from storage_plugins.filesystem import FilesystemStore
from tests.assets.test_assets import BLUE, RED, new_pool, original, plain
from tests.derivatives.test_pyramids import Lookout, view_of
from tests.support.images import detailed_photograph, noisy_photograph
from tests.support.s3quirks import QuirkyS3
from tests.support.s3servers import MakeS3Store
from tests.support.scripted import Listen
from was_daemon.model.errors import AssetNotFound, VersionGone
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import Kind, Layout
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import read_reader
from was_daemon.workers.pool import WorkerPool

pytest_plugins = ["tests.support.s3stores"]
async_test = pytest_twisted.ensureDeferred

MakeStore = Callable[[], IAssetStore]


class CountedS3(QuirkyS3):
    """An S3 server that keeps the method, name and range of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, str | None]] = []

    def render(self, request: Request) -> bytes | int:
        name = request.path.decode().rpartition("/")[2]
        self.asked.append((request.method.decode(), name, request.getHeader("Range")))
        return super().render(request)


@pytest_twisted.async_yield_fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    """The workers of all."""
    pool = new_pool()
    yield pool
    await pool.close()


@pytest.fixture
def server() -> CountedS3:
    return CountedS3()


@pytest.fixture(params=["files", "memory", "S3"])
def make_store(
    request: pytest.FixtureRequest, tmp_path: Path, server: CountedS3, listen: Listen, make_s3_store: MakeS3Store
) -> MakeStore:
    """What each daemon opens as the store for pyramids."""
    if request.param == "files":
        return lambda: FilesystemStore(tmp_path / "pyramids", Layout.FLAT)
    if request.param == "memory":
        memory = MemoryStore()
        return lambda: memory
    url = listen(Site(server, timeout=None))
    return lambda: make_s3_store(url, prefix="")


@pytest_twisted.async_yield_fixture
async def daemons(make_store: MakeStore, tmp_path: Path, pool: WorkerPool) -> AsyncIterator[tuple[Lookout, Lookout]]:
    """Two that share nothing but the stores."""
    here, there = (
        Lookout(tmp_path / name, pool, FilesystemStore(tmp_path / "originals", Layout.FLAT), pyramids=make_store())
        for name in ("here", "there")
    )
    yield here, there
    await here.museum.close()
    await there.museum.close()


async def show(lookout: Lookout, name: str) -> bytes:
    """The first tile, as a viewer is sent it."""
    pyramid = await lookout.zoom.open(original(name), 1, "a client")
    try:
        tile = pyramid.index.geometry.tile(0)
        return await pyramid.read(pyramid.index.span(tile))
    finally:
        await pyramid.reader.close()


@async_test
async def test_a_tile_is_one_request_for_its_bytes(
    server: CountedS3, listen: Listen, make_s3_store: MakeS3Store, tmp_path: Path, pool: WorkerPool
) -> None:
    url = listen(Site(server, timeout=None))
    originals = FilesystemStore(tmp_path / "originals", Layout.FLAT)
    lookout = Lookout(tmp_path, pool, originals, pyramids=make_s3_store(url, prefix=""))
    later = Lookout(tmp_path, pool, originals, pyramids=make_s3_store(url, prefix=""))
    try:
        await lookout.museum.put("a.jpg", detailed_photograph((1700, 1100)))
        await lookout.look("a.jpg")
        # A daemon that starts later reads the index once, however many tiles are asked for at the same time.
        for each in (lookout, later):
            pyramid = await each.look("a.jpg")
            server.asked.clear()
            tiles = list(pyramid.index.geometry.tiles())
            for tile in tiles:
                await each.look("a.jpg")
                assert len(await pyramid.read(pyramid.index.span(tile))) == pyramid.stat(tile).size
            spans = [pyramid.index.span(tile) for tile in tiles]
            assert server.asked == [("GET", "a.jpg_1.zip", f"bytes={start}-{stop - 1}") for start, stop in spans]
    finally:
        await lookout.museum.close()
        await later.museum.close()


@async_test
async def test_what_another_daemon_has_replaced_or_deleted_is_shown_no_more(daemons: tuple[Lookout, Lookout]) -> None:
    here, there = daemons
    await here.museum.put("a.jpg", plain(RED, size=(100, 50)))
    old = [await show(each, "a.jpg") for each in daemons]
    assert old[0] == old[1]
    await there.museum.put("a.jpg", plain(BLUE, size=(100, 50)))
    new = await gatherResults([Deferred.fromCoroutine(show(here, "a.jpg")) for _ in range(5)])
    assert len(set(new)) == 1 and new[0] not in old
    assert await show(there, "a.jpg") == new[0]
    await there.museum.assets.delete(original("a.jpg"))
    for each in daemons:
        with pytest.raises(AssetNotFound):
            await show(each, "a.jpg")
    assert [key async for key in here.museum.thumbnails.list("", Kind.PYRAMID)] == []


@async_test
async def test_nor_is_a_view_that_was_kept(daemons: tuple[Lookout, Lookout]) -> None:
    here, there = daemons
    contents = []
    for colour in (RED, BLUE):
        await there.museum.put("a.jpg", plain(colour, size=(100, 50)))
        pyramid = await here.zoom.open(original("a.jpg"), 1, "a client")
        reader = await here.zoom.view(pyramid, view_of(pyramid, 50), "a client")
        contents.append(b"".join([chunk async for chunk in reader.read()]))
        await reader.close()
        await pyramid.reader.close()
    assert contents[0] != contents[1]


@async_test
async def test_a_pyramid_of_what_was_replaced_while_it_was_made_is_not_shown(daemons: tuple[Lookout, Lookout]) -> None:
    here, there = daemons
    await here.museum.put("a.jpg", plain(RED, size=(100, 50)))
    looking = Deferred.fromCoroutine(here.look("a.jpg"))
    await there.museum.put("a.jpg", plain(BLUE, size=(60, 50)))
    assert (await looking).index.geometry.width in (100, 60)
    for each in daemons:
        assert (await each.look("a.jpg")).index.geometry.width == 60


@async_test
async def test_a_pyramid_that_another_daemon_has_removed_is_made_again(daemons: tuple[Lookout, Lookout]) -> None:
    here, there = daemons
    await here.museum.put("a.jpg", plain(RED, size=(100, 50)))
    before = await show(here, "a.jpg")
    await there.museum.thumbnails.delete(original("a.jpg").pyramid(1))
    try:
        after = await show(here, "a.jpg")
    except VersionGone:
        # A reader holds a version. The route tries again then.
        after = await show(here, "a.jpg")
    assert after == before


@async_test
async def test_a_view_is_of_the_pyramid_that_was_opened_though_it_is_removed_meanwhile(
    tmp_path: Path, pool: WorkerPool
) -> None:
    lookout = Lookout(tmp_path, pool, FilesystemStore(tmp_path / "files", Layout.FLAT))
    try:
        # A small one is read when it is opened.
        for picture in (plain(RED, size=(100, 50)), noisy_photograph((900, 600))):
            await lookout.museum.put("a.jpg", picture)
            pyramid = await lookout.zoom.open(original("a.jpg"), 1, "a client")
            await lookout.store.delete(pyramid.key)
            reader = await lookout.zoom.view(pyramid, view_of(pyramid, 50), "a client")
            assert (await read_reader(reader)).startswith(b"\x89PNG")
            await reader.close()
            await pyramid.reader.close()
    finally:
        await lookout.museum.close()
