"""Pyramids are derivatives: of one version, bounded, gone with their original, and never taken for other files."""

from array import array
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from storage_plugins.filesystem import FilesystemStore
from tests.assets.test_assets import BLUE, RED, Museum, new_pool, original, plain
from tests.support.images import noisy_photograph
from was_daemon.derivatives import views
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.pyramids import EvictablePyramids, OpenPyramid, PyramidKind
from was_daemon.derivatives.views import SMALL, Views
from was_daemon.derivatives.zoom import View, Zoom, _arguments, _on_level, choose_level
from was_daemon.library.collections import Collections, Place
from was_daemon.model.errors import AssetError, AssetNotFound, DamagedDerivative, Overloaded, VersionGone
from was_daemon.model.interfaces import IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.pyramids import Box, Geometry, PyramidIndex
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect, read_reader
from was_daemon.workers.commands import MakePyramid, RenderRegion
from was_daemon.workers.pool import WorkerPool

async_test = pytest_twisted.ensureDeferred
LONG = "n" * 240 + ".jpg"


class Lookout:
    """A museum whose pictures are looked at closely."""

    def __init__(
        self,
        directory: Path,
        pool: WorkerPool,
        store: IAssetStore,
        max_size: int | None = None,
        pyramids: IAssetStore | None = None,
    ) -> None:
        self.store = store
        self.collections = Collections(Place("", store, pyramids or store))
        self.evictor = Evictor(self.collections, max_size, EvictablePyramids()) if max_size else None
        self.kind = PyramidKind(500_000_000, self.evictor)
        self.museum = Museum(directory / "spool", pool, store, pyramids or store, kinds=[self.kind])
        spool = self.museum._spool
        self.views = Views(spool)
        self.zoom = Zoom(self.collections, self.museum.cache, self.kind, spool, self.views, pool)

    async def look(self, name: str, page: int = 1) -> OpenPyramid:
        pyramid = await self.zoom.open(original(name), page, "a client")
        await pyramid.reader.close()
        return pyramid

    async def stored(self) -> list[str]:
        return sorted(key.name for key in await collect(self.store.list("", Kind.PYRAMID)))


@pytest_twisted.async_yield_fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = new_pool()
    yield pool
    await pool.close()


@pytest_twisted.async_yield_fixture(params=["flat", "sharded", "memory"])
async def lookout(request: pytest.FixtureRequest, tmp_path: Path, pool: WorkerPool) -> AsyncIterator[Lookout]:
    store = MemoryStore() if request.param == "memory" else FilesystemStore(tmp_path / "files", Layout(request.param))
    lookout = Lookout(tmp_path, pool, store)
    yield lookout
    await lookout.museum.close()


@async_test
async def test_a_pyramid_is_made_once_however_many_ask(lookout: Lookout) -> None:
    await lookout.museum.put("a.jpg", plain(RED))
    await gatherResults([Deferred.fromCoroutine(lookout.look("a.jpg")) for _ in range(20)])
    await lookout.look("a.jpg")
    assert [job.command for job in lookout.museum.pool.jobs] == [MakePyramid]
    assert await lookout.stored() == ["a.jpg_1.zip"]


@async_test
async def test_a_pyramid_goes_with_its_original_and_leaves_those_of_others(lookout: Lookout) -> None:
    names = ["a.jpg", "a.jpg_1.jpg", "ab.jpg", "a", "x.a.jpg", LONG, "n" + LONG]
    for name in names:
        await lookout.museum.put(name, plain(RED))
        await lookout.look(name)
    assert len(await lookout.stored()) == len(names)
    for name in ("a.jpg", LONG, "a"):
        before = await lookout.stored()
        await lookout.museum.assets.delete(original(name))
        assert set(before) - set(await lookout.stored()) == {original(name).pyramid(1).name}
        with pytest.raises(AssetNotFound):
            await lookout.look(name)


@async_test
async def test_a_replaced_original_has_another_pyramid(lookout: Lookout) -> None:
    await lookout.museum.put("a.jpg", plain(RED, size=(100, 50)))
    assert (await lookout.look("a.jpg")).index.geometry.width == 100
    await lookout.museum.put("a.jpg", plain(BLUE, size=(60, 50)))
    assert await lookout.stored() == []
    assert (await lookout.look("a.jpg")).index.geometry.width == 60


@async_test
async def test_a_file_that_is_no_pyramid_is_neither_served_nor_removed(lookout: Lookout) -> None:
    foreign = AssetKey("", Kind.PYRAMID, "a.jpg_2.zip")
    await lookout.store.write(foreign, chunked(b"somebody's archive"))
    await lookout.museum.put("a.jpg", plain(RED))
    with pytest.raises(AssetNotFound):
        await lookout.look("a.jpg", page=2)
    await lookout.museum.assets.delete(original("a.jpg"))
    assert await lookout.stored() == ["a.jpg_2.zip"]


class CountingStore(MemoryStore):
    """A remote store, and the names of the pyramids that it was asked to open."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    async def open(self, key: AssetKey) -> IAssetReader:
        if key.kind is Kind.PYRAMID:
            self.opened.append(key.name)
        return await super().open(key)


@async_test
async def test_a_pyramid_of_a_remote_store_is_opened_once_for_many_tiles(tmp_path: Path, pool: WorkerPool) -> None:
    store = CountingStore()
    lookout = Lookout(tmp_path, pool, store)
    try:
        await lookout.museum.put("a.jpg", plain(RED, size=(600, 600)))
        await lookout.look("a.jpg")
        store.opened.clear()
        for _ in range(5):
            pyramid = await lookout.zoom.open(original("a.jpg"), 1, "a client")
            for tile in pyramid.index.geometry.tiles():
                assert (await pyramid.read(pyramid.index.span(tile))).startswith(b"\xff\xd8")
            await pyramid.reader.close()
        assert store.opened == []
        await lookout.museum.put("a.jpg", plain(BLUE, size=(300, 300)))
        assert (await lookout.look("a.jpg")).index.geometry.width == 300
        await lookout.museum.assets.delete(original("a.jpg"))
        with pytest.raises(AssetNotFound):
            await lookout.look("a.jpg")
    finally:
        await lookout.museum.close()


@async_test
async def test_few_remote_pyramids_are_held_open(tmp_path: Path, pool: WorkerPool) -> None:
    lookout = Lookout(tmp_path, pool, MemoryStore())
    try:
        for number in range(20):
            await lookout.museum.put(f"{number}.jpg", plain(RED))
            await lookout.look(f"{number}.jpg")
        held = lookout.kind._held._held
        assert [key.name for _, key in held] == [f"{number}.jpg_1.zip" for number in range(4, 20)]
    finally:
        await lookout.museum.close()


@async_test
async def test_pyramids_are_kept_within_a_size(tmp_path: Path, pool: WorkerPool) -> None:
    store = FilesystemStore(tmp_path / "files", Layout.FLAT)
    foreign = AssetKey("", Kind.PYRAMID, "other_1.zip")
    await store.write(foreign, chunked(b"somebody's archive"))
    lookout = Lookout(tmp_path, pool, store, max_size=20_000)
    assert lookout.evictor
    await lookout.evictor.start()
    try:
        for number in range(12):
            await lookout.museum.put(f"{number}.jpg", plain(RED, size=(600, 600)))
            await lookout.look(f"{number}.jpg")
        assert 1 < len(await lookout.stored()) < 12
        assert {"other_1.zip", "11.jpg_1.zip"} <= set(await lookout.stored())
    finally:
        await lookout.museum.close()


async def damage(lookout: Lookout, name: str) -> None:
    """Change one bit of each tile of a pyramid; its index and its mark stay."""
    pyramid = await lookout.look(name)
    content = bytearray(await read_reader(await lookout.store.open(pyramid.key)))
    for start, stop in map(pyramid.index.span, pyramid.index.geometry.tiles()):
        content[(start + stop) // 2] ^= 1
    await lookout.store.write(pyramid.key, chunked(bytes(content)))


@async_test
@pytest.mark.parametrize("shown", ["tile", "view"])
async def test_a_damaged_pyramid_is_made_again_once(
    lookout: Lookout, tmp_path: Path, pool: WorkerPool, shown: str
) -> None:
    async def show(lookout: Lookout) -> bytes:
        pyramid = await lookout.zoom.open(original("a.jpg"), 1, "a client")
        try:
            if shown == "tile":
                return await read_reader(await lookout.zoom.tile(pyramid, pyramid.index.geometry.tile(0)))
            return await read_reader(await lookout.zoom.view(pyramid, view_of(pyramid, 100), "a client"))
        finally:
            await pyramid.reader.close()

    await lookout.museum.put("a.jpg", plain(RED, size=(600, 600)))
    right = await show(lookout)
    await damage(lookout, "a.jpg")
    # A daemon that has nothing of it in memory.
    other = Lookout(tmp_path / "other", pool, lookout.store)
    try:
        outcomes = await gatherResults([Deferred.fromCoroutine(caught(show(other))) for _ in range(3)])
        # Who comes last, whoever that is, may already open the next one.
        assert VersionGone in outcomes
        assert set(outcomes) <= {VersionGone, None}
        assert await show(other) == right
        await damage(other, "a.jpg")
        other.kind._held.drop((other.store, original("a.jpg").pyramid(1)))
        assert await caught(show(other)) is DamagedDerivative
    finally:
        await other.museum.close()


async def caught(work: Awaitable[bytes]) -> type[AssetError] | None:
    try:
        await work
    except AssetError as error:
        return type(error)
    return None


def view_of(pyramid: OpenPyramid, width: int, form: str = "png") -> View:
    geometry = pyramid.index.geometry
    height = geometry.height * width // geometry.width
    whole = Box(0, 0, geometry.width, geometry.height)
    return View(whole, (width, height), False, 0.0, "default", form, f"{width}.{form}")


@pytest.mark.parametrize(
    ("picture", "region", "size"),
    [
        ((400_000, 560), Box(0, 400, 390_000, 150), (4000, 150)),
        ((560, 400_000), Box(400, 0, 150, 390_000), (150, 4000)),
        ((20_000, 20_000), Box(1, 1, 8900, 8900), (4096, 4096)),
    ],
)
def test_a_command_has_room_for_all_tiles_of_a_view(
    picture: tuple[int, int], region: Box, size: tuple[int, int]
) -> None:
    geometry = Geometry(*picture)
    offsets, lengths = array("Q", [1 << 35] * geometry.count), array("I", [0xFFFFFFFF] * geometry.count)
    index = PyramidIndex(geometry, 1, False, offsets, lengths, lengths)
    view = View(region, size, False, 0.0, "default", "jpg", "view")
    level = choose_level(geometry, view)
    tiles = list(geometry.tiles_in(level, _on_level(region, 1 << level)))
    arguments = _arguments(index, view, level, tiles, list(map(index.span, tiles)))
    assert RenderRegion.makeArguments(arguments, None).serialize()


@async_test
async def test_large_views_are_files_of_the_spool_and_small_ones_in_memory(
    tmp_path: Path, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MIDDLE", SMALL)
    lookout = Lookout(tmp_path, pool, FilesystemStore(tmp_path / "files", Layout.FLAT))
    try:
        await lookout.museum.put("a.jpg", noisy_photograph((900, 600)))
        pyramid = await lookout.zoom.open(original("a.jpg"), 1, "a client")
        small = await lookout.zoom.view(pyramid, view_of(pyramid, 100), "a client")
        large = await lookout.zoom.view(pyramid, view_of(pyramid, 900), "a client")
        again = await lookout.zoom.view(pyramid, view_of(pyramid, 900), "a client")
        await pyramid.reader.close()
        assert isinstance(small, MemoryReader) and small.stat.size <= SMALL
        assert not isinstance(large, MemoryReader) and large.stat.size > SMALL
        assert [job.command for job in lookout.museum.pool.jobs] == [MakePyramid]
        await lookout.views.close()
        # Whoever is being sent one is sent all of it.
        content = await read_reader(large)
        assert content.startswith(b"\x89PNG") and len(content) == large.stat.size
        assert await read_reader(again) == content
        for reader in (small, large, again):
            await reader.close()
    finally:
        await lookout.museum.close()


@async_test
async def test_large_views_that_are_being_sent_are_bounded(
    tmp_path: Path, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MIDDLE", SMALL)
    monkeypatch.setattr(views, "_MOST_SENT", 3_000_000)
    lookout = Lookout(tmp_path, pool, FilesystemStore(tmp_path / "files", Layout.FLAT))
    try:
        await lookout.museum.put("a.jpg", noisy_photograph((900, 600)))
        pyramid = await lookout.zoom.open(original("a.jpg"), 1, "a client")
        sent = []
        with pytest.raises(Overloaded):
            for _ in range(20):
                sent.append(await lookout.zoom.view(pyramid, view_of(pyramid, 900), "a client"))
        assert sent
        for reader in sent:
            await reader.close()
            await reader.close()
        await (await lookout.zoom.view(pyramid, view_of(pyramid, 900), "a client")).close()
        await pyramid.reader.close()
    finally:
        await lookout.views.close()
        await lookout.museum.close()


@async_test
async def test_views_of_middle_size_are_in_memory_while_few_are_being_sent(
    tmp_path: Path, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_MOST_SENT_FROM_MEMORY", 600_000)
    lookout = Lookout(tmp_path, pool, FilesystemStore(tmp_path / "files", Layout.FLAT))
    try:
        await lookout.museum.put("a.jpg", noisy_photograph((900, 600)))
        pyramid = await lookout.zoom.open(original("a.jpg"), 1, "a client")
        first, second = [await lookout.zoom.view(pyramid, view_of(pyramid, width), "a client") for width in (600, 601)]
        assert SMALL < first.stat.size < 600_000 < first.stat.size + second.stat.size
        names = [(pyramid.key, pyramid.reader.stat.etag, f"{width}.png") for width in (600, 601, 602)]
        assert [isinstance(lookout.views.get(name), MemoryReader) for name in names[:2]] == [True, False]
        for reader in (first, second):
            assert len(await read_reader(reader)) == reader.stat.size
            await reader.close()
        # There is room again.
        await (await lookout.zoom.view(pyramid, view_of(pyramid, 602), "a client")).close()
        assert isinstance(lookout.views.get(names[2]), MemoryReader)
        await pyramid.reader.close()
    finally:
        await lookout.views.close()
        await lookout.museum.close()
