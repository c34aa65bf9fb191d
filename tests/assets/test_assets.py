"""The use cases without HTTP: real stores, real workers."""

import gc
import io
import os
import signal
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import pytest_twisted
from PIL import Image, ImageChops, ImageStat
from twisted.internet.defer import CancelledError, Deferred
from twisted.protocols import amp
from zope.interface import implementer

from storage_plugins.filesystem import FilesystemStore
from tests.support.images import TAKEN, encode, jpeg, photograph
from tests.support.processes import eventually, paused, worker_pids
from tests.support.slow import slow_after
from tests.workers.test_pool import black_png, end_two_workers
from was_daemon.assets import Assets
from was_daemon.concurrency.locks import KeyLocks
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.kinds import DerivativeKind, Recipe
from was_daemon.derivatives.thumbnails import Thumbnail, ThumbnailKind
from was_daemon.derivatives.warming import Warmer
from was_daemon.library import spool
from was_daemon.library.collections import Collections, Original, Place
from was_daemon.library.spool import Spool
from was_daemon.model.errors import (
    AssetExists,
    AssetNotFound,
    BadName,
    BrokenImage,
    CannotCreate,
    Interrupted,
    NoThumbnail,
    Overloaded,
)
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, ICreates, IStagingFile
from was_daemon.model.keys import AssetKey, Kind, Layout, ThumbnailAddress
from was_daemon.model.marks import MARK_SIZE, mark_of
from was_daemon.stores.layers.observed import observed
from was_daemon.stores.local.disk import open_regular
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.contract import gather_all
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect, payload, read_asset, read_reader
from was_daemon.workers.fair_queue import Job, OpenFile
from was_daemon.workers.pool import WorkerPool

RED, GREEN, BLUE = (200, 30, 40), (30, 180, 60), (40, 60, 200)
Colour = tuple[int, int, int]


class WatchedPool:
    """A pool, and the jobs that it was given."""

    def __init__(self, pool: WorkerPool) -> None:
        self.jobs: list[Job] = []
        self.promote = pool.promote
        self._pool = pool

    def submit(
        self,
        command: type[amp.Command],
        client: str,
        files: Sequence[OpenFile],
        background: bool = False,
        **arguments: Any,
    ) -> Job:
        self.jobs.append(self._pool.submit(command, client, files, background, **arguments))
        return self.jobs[-1]


class WatchedDerivatives(Derivatives):
    """Counts those who wait, or waited, for a thumbnail."""

    waited = 0

    async def make(self, original: Original, recipe: Recipe, client: str) -> IAssetReader | None:
        self.waited += 1
        return await super().make(original, recipe, client)


class Museum:
    """The use cases on top of two stores, and what clients do with them."""

    def __init__(
        self,
        spool: Path,
        pool: WorkerPool,
        originals: IAssetStore,
        thumbnails: IAssetStore,
        overwrite: bool = True,
        warm: tuple[int, ...] = (),
        max_scale: int = 4096,
        kinds: Sequence[DerivativeKind[Any]] = (),
    ) -> None:
        self.originals = originals
        self.thumbnails = thumbnails
        self.pool = WatchedPool(pool)
        self.locks: KeyLocks[AssetKey] = KeyLocks()
        self._spool = Spool(spool, 1 << 30)
        collections = Collections(Place("", originals, thumbnails))
        kinds = [ThumbnailKind(500_000_000, max_scale), *kinds]
        self.cache = WatchedDerivatives(collections, self.locks, self._spool, self.pool, kinds)
        warmer = Warmer(self.cache, [[Thumbnail(scale) for scale in warm]])
        self.assets = Assets(collections, self.cache, self.locks, self._spool, self.pool, overwrite, warmer)

    async def put(self, name: str, content: bytes) -> None:
        staged = await self.assets.stage(None)
        try:
            await staged.write([content])
            await self.assets.put(original(name), staged)
        finally:
            staged.discard()

    def sources(self) -> list[str]:
        """What the jobs were about, by name."""
        return [job.arguments["name"] for job in self.pool.jobs]

    async def get(self, name: str) -> bytes:
        return await whole(await self.assets.open(original(name)))

    async def thumbnail(self, name: str, scale: int = 50, client: str = "a") -> bytes:
        reader, _ = await self.assets.thumbnail(original(name), scale, client)
        return await whole(reader)

    async def existing(self, name: str) -> bytes:
        reader, _ = await self.assets.existing_thumbnail(ThumbnailAddress.parse(f"thumbnails/{name}"), lambda _: True)
        return await whole(reader)

    def ask(self, name: str, scale: int = 50, client: str = "a") -> Deferred[bytes]:
        """A request that has begun."""
        return Deferred.fromCoroutine(self.thumbnail(name, scale, client))

    async def stored(self) -> list[str]:
        """The names of the thumbnails that there are."""
        return sorted(key.name for key in await collect(self.thumbnails.list("", Kind.THUMBNAIL)))

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """The worker, which is to be running, does nothing meanwhile."""
        pids = worker_pids()
        assert pids
        with paused(pids):
            yield

    async def close(self) -> None:
        await self._spool.close()
        await self.originals.close()
        await self.thumbnails.close()


Open = Callable[..., Museum]


def original(name: str) -> AssetKey:
    return AssetKey("", Kind.ORIGINAL, name)


async def whole(reader: IAssetReader) -> bytes:
    try:
        return await read_reader(reader)
    finally:
        await reader.close()


def plain(colour: Colour, format_name: str = "JPEG", size: tuple[int, int] = (120, 80)) -> bytes:
    return encode(Image.new("RGB", size, colour), format_name)


def shows(content: bytes, colour: Colour) -> bool:
    with Image.open(io.BytesIO(content)) as image:
        return all(abs(a - b) < 12 for a, b in zip(image.convert("RGB").getpixel((5, 5)), colour, strict=True))


@pytest.fixture(params=slow_after(2, ["files", "originals in memory", "memory", "thumbnails in memory"]))
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[IAssetStore, IAssetStore]:
    """The store of the originals and that of the thumbnails."""
    files, memory = FilesystemStore(tmp_path / "files", Layout.FLAT), MemoryStore()
    return {
        "files": (files, files),
        "memory": (memory, memory),
        "thumbnails in memory": (files, memory),
        "originals in memory": (memory, files),
    }[request.param]


@pytest_twisted.async_yield_fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    """One worker for all tests; whoever kills it is given another."""
    pool = new_pool()
    yield pool
    await pool.close()


def new_pool(queue: int = 100) -> WorkerPool:
    return WorkerPool(workers=1, timeout=60.0, memory=1 << 30, queue=queue)


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path, pool: WorkerPool) -> AsyncIterator[Open]:
    """Opens museums, and closes them when the test is over."""
    museums: list[Museum] = []

    def make(stores: tuple[IAssetStore, IAssetStore], pool: WorkerPool = pool, **settings: Any) -> Museum:
        museums.append(Museum(tmp_path / "spool", pool, *stores, **settings))
        return museums[-1]

    yield make
    for museum in museums:
        await museum.close()


@pytest.fixture
def museum(opened: Open, stores: tuple[IAssetStore, IAssetStore]) -> Museum:
    return opened(stores)


@pytest.fixture
def files(opened: Open, tmp_path: Path) -> Museum:
    """A museum with one directory for everything."""
    store = FilesystemStore(tmp_path / "files", Layout.FLAT)
    return opened((store, store))


# -- originals ---------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_what_was_put_is_opened(museum: Museum) -> None:
    content = payload(1_500_000)
    await museum.put("a.bin", content)
    assert await museum.get("a.bin") == content
    await museum.put("a.bin", b"other")
    assert await museum.get("a.bin") == b"other"


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_not_put_leaves_nothing(museum: Museum, tmp_path: Path) -> None:
    staged = await museum.assets.stage(original("a.jpg"))
    await staged.write([b"half"])
    staged.discard()
    await eventually(lambda: not [path for path in tmp_path.rglob("*") if path.is_file()])
    with pytest.raises(AssetNotFound):
        await museum.get("a.jpg")


@pytest_twisted.ensureDeferred
async def test_where_replacing_is_forbidden_the_first_upload_stays(
    opened: Open, stores: tuple[IAssetStore, IAssetStore]
) -> None:
    museum = opened(stores, overwrite=False)
    await museum.put("a.jpg", plain(RED))
    before = await museum.thumbnail("a.jpg")
    with pytest.raises(AssetExists):
        await museum.put("a.jpg", plain(BLUE))
    assert await museum.get("a.jpg") == plain(RED)
    assert await museum.thumbnail("a.jpg") == before
    await museum.assets.delete(original("a.jpg"))
    await museum.put("a.jpg", plain(BLUE))


@implementer(IAssetStore, ICreates)
class CannotCreateStore(MemoryStore):
    """A store whose server has no way to create an asset as a new one."""

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        raise CannotCreate("the server has no conditional writes")


@pytest_twisted.ensureDeferred
async def test_where_the_server_cannot_create_the_first_upload_stays_too_and_that_is_no_error_of_the_store(
    opened: Open,
) -> None:
    metrics = Metrics()
    store = observed(CannotCreateStore(), metrics, "main")
    museum = opened((store, store), overwrite=False)
    await museum.put("a.jpg", plain(RED))
    with pytest.raises(AssetExists):
        await museum.put("a.jpg", plain(BLUE))
    assert await museum.get("a.jpg") == plain(RED)
    assert "was_store_errors_total{" not in metrics.exposition().decode()


@pytest_twisted.ensureDeferred
async def test_metadata_is_what_the_camera_wrote(museum: Museum) -> None:
    await museum.put("a.jpg", photograph((60, 40)))
    await museum.put("a.txt", b"no photograph")
    groups = {group["Name"]: group["Fields"] for group in await museum.assets.metadata(original("a.jpg"), "a")}
    assert groups["EXIF"]["DateTimeOriginal"] == TAKEN
    assert await museum.assets.metadata(original("a.txt"), "a") == []
    with pytest.raises(AssetNotFound):
        await museum.assets.metadata(original("b.jpg"), "a")


# -- thumbnails --------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_is_made_once_and_found_from_then_on(museum: Museum) -> None:
    await museum.put("a.jpg", jpeg((300, 200)))
    first = await museum.thumbnail("a.jpg")
    with Image.open(io.BytesIO(first)) as image:
        assert (image.format, image.size) == ("JPEG", (50, 33))
    assert await museum.thumbnail("a.jpg") == first
    assert len(museum.pool.jobs) == 1
    assert await museum.stored() == ["a_50.jpg"]


@pytest_twisted.ensureDeferred
async def test_a_smaller_thumbnail_is_made_of_a_larger_one(museum: Museum) -> None:
    for name in ("a.jpg", "b.jpg"):
        await museum.put(name, photograph((2000, 3000), orientation=6))
    await museum.thumbnail("a.jpg", 600)
    second, direct = await museum.thumbnail("a.jpg", 300), await museum.thumbnail("b.jpg", 300)
    assert museum.sources() == ["a.jpg", "a_600.jpg", "b.jpg"]
    with Image.open(io.BytesIO(second)) as ours, Image.open(io.BytesIO(direct)) as theirs:
        assert ours.size == theirs.size == (200, 300)
        assert max(ImageStat.Stat(ImageChops.difference(ours, theirs)).mean) <= 3
    # Not of the one that was made of another: differences would add up.
    await museum.thumbnail("a.jpg", 150)
    await museum.thumbnail("a.jpg", 400)
    await museum.thumbnail("a.jpg", 200)
    assert museum.sources()[3:] == ["a_600.jpg", "a.jpg", "a_400.jpg"]


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_has_the_same_size_whatever_it_was_made_of(museum: Museum) -> None:
    content = photograph((333, 1201), orientation=6)
    scales = (280, 140, 70, 23)
    for name in ("a.jpg", *(f"{scale}.jpg" for scale in scales)):
        await museum.put(name, content)
    for scale in scales:
        ours, direct = await museum.thumbnail("a.jpg", scale), await museum.thumbnail(f"{scale}.jpg", scale)
        with Image.open(io.BytesIO(ours)) as image, Image.open(io.BytesIO(direct)) as other:
            assert image.size == other.size == (max(1, round(333 * scale / 1201)), scale)
    # Of so small a one there are too few pixels.
    assert museum.sources()[2::2] == ["a_280.jpg", "a_280.jpg", "a.jpg"]


@pytest_twisted.ensureDeferred
async def test_a_smaller_thumbnail_is_not_made_of_one_that_loses_too_much(museum: Museum) -> None:
    await museum.put("a.webp", plain(RED, "WEBP", (900, 600)))
    for scale in (400, 100):
        assert shows(await museum.thumbnail("a.webp", scale), RED)
    assert museum.sources() == ["a.webp"] * 2


@pytest_twisted.ensureDeferred
async def test_a_smaller_thumbnail_is_made_of_no_larger_one_that_is_old_or_gone(museum: Museum) -> None:
    await museum.put("a.jpg", plain(RED, size=(900, 600)))
    await museum.thumbnail("a.jpg", 400)
    await museum.put("a.jpg", plain(BLUE, size=(900, 600)))
    assert shows(await museum.thumbnail("a.jpg", 100), BLUE)
    await museum.thumbnail("a.jpg", 400)
    await museum.thumbnails.delete(original("a.jpg").thumbnail(400))
    assert shows(await museum.thumbnail("a.jpg", 200), BLUE)
    assert museum.sources() == ["a.jpg"] * 4


@pytest_twisted.ensureDeferred
async def test_thumbnails_that_share_a_name_are_not_made_of_one_another(museum: Museum) -> None:
    await museum.put("a.png", plain(RED, "PNG", (900, 600)))
    await museum.put("a.tif", plain(BLUE, "TIFF", (900, 600)))
    for name, colour in [("a.png", RED), ("a.tif", BLUE)]:
        assert shows(await museum.thumbnail(name, 400), colour)
    for name, colour in [("a.png", RED), ("a.tif", BLUE)]:
        assert shows(await museum.thumbnail(name, 100), colour)


@pytest_twisted.ensureDeferred
async def test_a_hundred_who_ask_at_once_share_one_job(museum: Museum) -> None:
    await museum.put("a.jpg", jpeg((300, 200)))
    answers = await gather_all([museum.ask("a.jpg", client=f"client {number % 7}") for number in range(100)])
    assert len(museum.pool.jobs) == 1
    assert len(set(answers)) == 1
    assert answers[0] == await museum.thumbnail("a.jpg")


@pytest_twisted.ensureDeferred
async def test_without_its_original_there_is_no_thumbnail(museum: Museum) -> None:
    with pytest.raises(AssetNotFound):
        await museum.thumbnail("a.jpg")
    assert museum.pool.jobs == []


@pytest_twisted.ensureDeferred
async def test_a_replaced_original_has_new_thumbnails(museum: Museum) -> None:
    await museum.put("a.jpg", plain(RED))
    for scale in (20, 50):
        assert shows(await museum.thumbnail("a.jpg", scale), RED)
    await museum.put("a.jpg", plain(BLUE))
    assert await museum.stored() == []
    for scale in (20, 50):
        assert shows(await museum.thumbnail("a.jpg", scale), BLUE)


@pytest_twisted.ensureDeferred
async def test_originals_that_share_a_thumbnail_s_name_are_not_mixed_up(museum: Museum) -> None:
    pictures = {"a.png": ("PNG", RED), "a.tif": ("TIFF", GREEN), "a.bmp.tif": ("TIFF", RED), "a.pdf": ("PDF", BLUE)}
    for name, (format_name, colour) in pictures.items():
        await museum.put(name, plain(colour, format_name))
    for _ in range(2):
        for name, (_, colour) in pictures.items():
            assert shows(await museum.thumbnail(name), colour), name


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_made_is_refused_without_a_second_try(museum: Museum) -> None:
    await museum.put("a.jpg", b"no image, though it says so")
    await museum.put("a.txt", b"no image, and it does not say so")
    for name, error in (("a.jpg", BrokenImage), ("a.txt", NoThumbnail)):
        with pytest.raises(error) as first:
            await museum.thumbnail(name)
        jobs = len(museum.pool.jobs)
        for scale in (50, 20):
            with pytest.raises(error) as again:
                await museum.thumbnail(name, scale)
            assert str(again.value) == str(first.value)
        assert len(museum.pool.jobs) == jobs
    assert await museum.stored() == []


@pytest_twisted.ensureDeferred
async def test_a_refusal_that_is_remembered_holds_on_to_nothing(museum: Museum) -> None:
    await museum.put("a.jpg", b"no image")
    with pytest.raises(BrokenImage):
        await museum.thumbnail("a.jpg")
    (job,) = map(weakref.ref, museum.pool.jobs)
    museum.pool.jobs.clear()
    await eventually(lambda: gc.collect() >= 0 and job() is None)


@pytest_twisted.ensureDeferred
async def test_a_refusal_is_forgotten_when_the_original_is_replaced(museum: Museum) -> None:
    await museum.put("a.jpg", b"no image")
    with pytest.raises(BrokenImage):
        await museum.thumbnail("a.jpg")
    await museum.put("a.jpg", plain(RED))
    assert shows(await museum.thumbnail("a.jpg"), RED)


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_is_found_by_its_own_name_while_its_original_is_there(museum: Museum) -> None:
    await museum.put("a.jpg", plain(RED))
    await museum.put("a.tif", plain(BLUE, "TIFF"))
    for name in ("a.jpg", "a.tif"):
        made = await museum.thumbnail(name)
        assert await museum.existing(original(name).thumbnail(50).name) == made
    for name in ("a_20.jpg", "a_50.gif", "b_50.jpg", "a.jpg", "a_50.jpg.jpg", "a_050.jpg", "_50.jpg"):
        with pytest.raises(AssetNotFound):
            await museum.existing(name)
    await museum.originals.delete(original("a.jpg"))
    with pytest.raises(AssetNotFound):
        await museum.existing("a_50.jpg")


@pytest_twisted.ensureDeferred
async def test_warmed_thumbnails_are_made_with_one_job_and_asked_for_without_any(
    opened: Open, stores: tuple[IAssetStore, IAssetStore]
) -> None:
    museum = opened(stores, warm=(20, 50))
    await museum.put("a.jpg", plain(RED))
    await eventually(lambda: bool(museum.pool.jobs))
    assert museum.pool.jobs[0].background
    for scale in (50, 20):
        assert shows(await museum.thumbnail("a.jpg", scale), RED)
    assert len(museum.pool.jobs) == 1
    assert await museum.stored() == ["a_20.jpg", "a_50.jpg"]


# -- deletion ----------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_deleted_asset_takes_all_of_its_thumbnails_with_it_and_no_one_else_s(museum: Museum) -> None:
    names = ["sp6123.att.jpg", "sp61234.att.jpg", "sp6123.jpg", "sp6123.att_5.jpg", "sp6123.att.JPG"]
    for name in names:
        await museum.put(name, plain(RED))
        await museum.thumbnail(name, 50)
    for scale in (1, 9, 10, 123, 999, 1000, 4096):
        await museum.thumbnail("sp6123.att.jpg", scale)
    await museum.assets.delete(original("sp6123.att.jpg"))
    assert await museum.stored() == sorted(original(name).thumbnail(50).name for name in names[1:])
    for missing in (museum.get("sp6123.att.jpg"), museum.thumbnail("sp6123.att.jpg")):
        with pytest.raises(AssetNotFound):
            await missing
    for name in names[1:]:
        assert await museum.get(name) == plain(RED)


@pytest_twisted.ensureDeferred
async def test_thumbnails_of_every_scale_that_is_allowed_go_with_their_original(
    opened: Open, stores: tuple[IAssetStore, IAssetStore]
) -> None:
    museum = opened(stores, max_scale=10_000)
    await museum.put("a.jpg", plain(RED))
    for scale in (4096, 4097, 10_000):
        await museum.thumbnail("a.jpg", scale)
    await museum.assets.delete(original("a.jpg"))
    assert await museum.stored() == []


@pytest_twisted.ensureDeferred
async def test_thumbnails_made_when_larger_ones_were_allowed_go_too(
    opened: Open, stores: tuple[IAssetStore, IAssetStore]
) -> None:
    generous = opened(stores, max_scale=10_000)
    await generous.put("a.jpg", plain(RED))
    await generous.thumbnail("a.jpg", 10_000)
    strict = opened(stores, max_scale=100)
    await strict.cache.start()
    await strict.assets.delete(original("a.jpg"))
    assert await strict.stored() == []


@pytest_twisted.ensureDeferred
async def test_of_thumbnails_that_share_a_name_only_the_deleted_original_s_go(museum: Museum) -> None:
    await museum.put("a.png", plain(RED, "PNG"))
    await museum.put("a.tif", plain(BLUE, "TIFF"))
    await museum.thumbnail("a.png", 50)
    await museum.thumbnail("a.tif", 20)
    await museum.assets.delete(original("a.tif"))
    assert await museum.stored() == ["a_50.png"]
    assert shows(await museum.thumbnail("a.png", 50), RED)


@implementer(IAssetReader)
class Marked:
    """Does not like to be asked for more than the mark."""

    def __init__(self, whole: MemoryReader) -> None:
        self.stat = whole.stat
        self.close = whole.close
        self._end = whole.content[-MARK_SIZE:]

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        assert start == self.stat.size - MARK_SIZE
        yield self._end


class Unread(MemoryStore):
    """Opens what is stored, for the sake of its mark."""

    async def open(self, key: AssetKey) -> Marked:
        return Marked(await super().open(key))


@pytest_twisted.ensureDeferred
async def test_of_a_thumbnail_whose_bytes_nobody_wants_only_the_mark_is_read(opened: Open) -> None:
    museum = opened((MemoryStore(), Unread()))
    await museum.put("a.jpg", plain(RED))
    for source in ("made", "kept"):
        reader, kind = await museum.assets.thumbnail(original("a.jpg"), 50, "a", fetch=False)
        assert (reader.stat.size > 0, kind) == (True, "image/jpeg"), source
        await reader.close()
    assert len(museum.pool.jobs) == 1


@pytest_twisted.ensureDeferred
async def test_thumbnails_of_the_longest_names_go_with_their_original(museum: Museum) -> None:
    names = ["x" * 251 + ".jpg", "x" * 250 + "y.jpg", "é" * 125 + ".jpg"]
    for name in names:
        await museum.put(name, plain(RED))
        for scale in (9, 50, 1000):
            assert shows(await museum.thumbnail(name, scale), RED)
    assert len(await museum.stored()) == 9
    for number, name in enumerate(names, 1):
        await museum.assets.delete(original(name))
        assert len(await museum.stored()) == 9 - 3 * number


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_of_a_long_name_is_found_by_that_name(museum: Museum) -> None:
    for root, extension in (("x" * 251, ".jpg"), ("é" * 125, ".tif"), ("a~0123456789abcdef", ".jpg"), ("y" * 255, "")):
        await museum.put(root + extension, plain(RED))
        await museum.thumbnail(root + extension, 50)
        thumbnail = original(root + extension).thumbnail(50)
        shown = extension if extension == ".jpg" else ".png"
        assert shows(await museum.existing(f"{root}_50{shown}"), RED)
        # What it is called on a disk is nobody's business.
        with pytest.raises(AssetNotFound):
            await museum.existing(thumbnail.name)


class UnlistedStore(MemoryStore):
    """Counts how often it is asked for an asset, and does not tell which there are."""

    asked = 0

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        raise AssertionError("all assets are listed")
        yield AssetKey(collection, kind, prefix)

    async def stat(self, key: AssetKey) -> AssetStat:
        self.asked += 1
        return await super().stat(key)

    async def open(self, key: AssetKey) -> MemoryReader:
        self.asked += 1
        return await super().open(key)


@pytest.mark.parametrize("root", ["~0123456789abcdef", "a~0123456789abcdef", "x" * 250 + "~0123456789abcdef", "a"])
@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif"])
@pytest_twisted.ensureDeferred
async def test_whoever_asks_for_a_thumbnail_costs_a_few_look_ups(opened: Open, root: str, extension: str) -> None:
    store = UnlistedStore()
    museum = opened((store, store))
    stored = [f"{root}_50{extension}"] if len(root) < 200 else []
    for name in stored:
        await store.write(AssetKey("", Kind.THUMBNAIL, name), chunked(plain(RED)))
    with pytest.raises((AssetNotFound, BadName)):
        await museum.existing(f"{root}_50{extension}")
    assert store.asked <= 12


@pytest_twisted.ensureDeferred
async def test_an_original_is_looked_up_no_more_often_than_it_may_have_changed(opened: Open) -> None:
    store = UnlistedStore()
    museum = opened((store, store))

    async def asked_by(step: Awaitable[object]) -> int:
        before = store.asked
        await step
        return store.asked - before

    # What it replaces; nothing.
    assert await asked_by(museum.put("a.jpg", plain(RED))) == 1
    # The original, no thumbnail, the bytes of the original, and the original before and after the thumbnail is stored.
    assert await asked_by(museum.thumbnail("a.jpg")) == 5
    # The original and the thumbnail.
    assert await asked_by(museum.thumbnail("a.jpg")) == 2


@pytest_twisted.ensureDeferred
async def test_a_new_name_finds_no_thumbnails_that_a_daemon_has_left_of_it(files: Museum) -> None:
    marked = plain(RED) + mark_of(AssetStat(1, 1.0, "before"))
    await files.thumbnails.write(original("left.jpg").thumbnail(77), chunked(marked))
    await files.cache.start()
    await files.put("other.jpg", plain(RED))
    assert shows(await files.thumbnail("other.jpg", 50), RED)
    await files.thumbnails.write(original("left.jpg").thumbnail(50), chunked(marked))
    await files.put("left.jpg", plain(BLUE))
    assert await files.stored() == ["other_50.jpg"]


@pytest_twisted.ensureDeferred
async def test_a_new_name_leaves_what_is_only_called_like_its_thumbnail(files: Museum) -> None:
    theirs = ["IMG_2024.jpg", "IMG_50.jpg", "IMG_20240101.jpg"]
    for name in theirs:
        await files.thumbnails.write(AssetKey("", Kind.THUMBNAIL, name), chunked(b"somebody's"))
    await files.cache.start()
    await files.put("IMG.jpg", plain(BLUE))
    assert await files.stored() == sorted(theirs)


@pytest_twisted.ensureDeferred
async def test_a_delete_without_an_original_leaves_what_no_server_would_have_made(museum: Museum) -> None:
    for name, content in {"DOC_7.jpg": b"left over", "DOC_20240101.jpg": b"somebody's"}.items():
        await museum.thumbnails.write(AssetKey("", Kind.THUMBNAIL, name), chunked(content))
    await museum.cache.start()
    with pytest.raises(AssetNotFound):
        await museum.assets.delete(original("DOC.jpg"))
    assert await museum.stored() == ["DOC_20240101.jpg"]


@pytest_twisted.ensureDeferred
async def test_left_over_thumbnails_go_even_when_there_is_no_original(museum: Museum) -> None:
    await museum.thumbnails.write(original("a.jpg").thumbnail(123), chunked(b"left over"))
    with pytest.raises(AssetNotFound):
        await museum.assets.delete(original("a.jpg"))
    assert await museum.stored() == []


class StoppingStore(MemoryStore):
    """Once `stops` is set, whoever changes an original never gets to the next step, as in a killed daemon."""

    stops = False
    stopped = False

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        stat = await super().write(key, chunks, size)
        await self._stop()
        return stat

    async def delete(self, key: AssetKey) -> None:
        await super().delete(key)
        await self._stop()

    async def _stop(self) -> None:
        if self.stops:
            self.stopped = True
            await Deferred()


@pytest.mark.parametrize("change", ["put", "delete"])
@pytest_twisted.ensureDeferred
async def test_no_thumbnail_outlives_its_original_in_a_daemon_that_is_killed(opened: Open, change: str) -> None:
    originals = StoppingStore()
    museum = opened((originals, MemoryStore()))
    await museum.put("a.jpg", plain(RED))
    await museum.thumbnail("a.jpg")
    originals.stops = True
    asset = original("a.jpg")
    changing = Deferred.fromCoroutine(
        museum.put("a.jpg", plain(BLUE)) if change == "put" else museum.assets.delete(asset)
    )
    await eventually(lambda: originals.stopped)
    assert await museum.stored() == []
    changing.addErrback(lambda failure: failure.trap(CancelledError))
    changing.cancel()


# -- while a thumbnail is being made -----------------------------------------------------------------------------------


async def start_the_worker(museum: Museum) -> None:
    await museum.put("warm up.jpg", plain(GREEN))
    await museum.thumbnail("warm up.jpg")
    await museum.assets.delete(original("warm up.jpg"))
    museum.pool.jobs.clear()
    museum.cache.waited = 0


async def jobs_given(museum: Museum, count: int = 1) -> None:
    await eventually(lambda: len(museum.pool.jobs) == count)


class Gate:
    """Holds the lock of an asset until it is opened: nothing of it is published, replaced or deleted."""

    def __init__(self, museum: Museum, name: str) -> None:
        self._opened: Deferred[None] = Deferred()
        self._task = Deferred.fromCoroutine(self._hold(museum, name))

    async def _hold(self, museum: Museum, name: str) -> None:
        async with museum.locks.exclusive(original(name)):
            await self._opened

    async def open(self) -> None:
        self._opened.callback(None)
        await self._task


@pytest_twisted.ensureDeferred
async def test_an_original_replaced_while_its_thumbnail_is_made_shows_the_new_one(museum: Museum) -> None:
    await start_the_worker(museum)
    await museum.put("a.jpg", plain(RED))
    with museum.at_rest():
        request = museum.ask("a.jpg")
        await jobs_given(museum)
        await museum.put("a.jpg", plain(BLUE))
    assert shows(await request, BLUE)
    assert shows(await museum.thumbnail("a.jpg"), BLUE)


@pytest_twisted.ensureDeferred
async def test_an_original_replaced_before_its_thumbnail_is_published_shows_the_new_one(museum: Museum) -> None:
    await museum.put("a.jpg", plain(RED))
    gate = Gate(museum, "a.jpg")
    staged = await museum.assets.stage(original("a.jpg"))
    await staged.write([plain(BLUE)])
    replacing = Deferred.fromCoroutine(museum.assets.put(original("a.jpg"), staged))
    request = museum.ask("a.jpg")
    await eventually(lambda: bool(museum.pool.jobs) and museum.pool.jobs[0].done.called)
    await gate.open()
    await replacing
    assert shows(await request, BLUE)
    assert shows(await museum.thumbnail("a.jpg"), BLUE)
    assert await museum.stored() == ["a_50.jpg"]
    staged.discard()


@pytest_twisted.ensureDeferred
async def test_an_original_replaced_just_after_its_thumbnail_is_published_shows_the_new_one(museum: Museum) -> None:
    await museum.put("a.jpg", plain(RED))
    gate = Gate(museum, "a.jpg")
    request = museum.ask("a.jpg")
    await eventually(lambda: bool(museum.pool.jobs) and museum.pool.jobs[0].done.called)
    staged = await museum.assets.stage(original("a.jpg"))
    await staged.write([plain(BLUE)])
    replacing = Deferred.fromCoroutine(museum.assets.put(original("a.jpg"), staged))
    await gate.open()
    await replacing
    assert shows(await museum.thumbnail("a.jpg"), BLUE)
    answer = await request
    assert shows(answer, RED) or shows(answer, BLUE)
    assert shows(await museum.thumbnail("a.jpg"), BLUE)
    staged.discard()


@pytest_twisted.ensureDeferred
async def test_an_original_deleted_while_its_thumbnail_is_made_leaves_none(museum: Museum) -> None:
    await start_the_worker(museum)
    await museum.put("a.jpg", plain(RED))
    with museum.at_rest():
        request = museum.ask("a.jpg")
        await jobs_given(museum)
        await museum.assets.delete(original("a.jpg"))
    with pytest.raises(AssetNotFound):
        await request
    assert await museum.stored() == []


@pytest_twisted.ensureDeferred
async def test_an_original_deleted_just_before_its_thumbnail_is_published_leaves_none(museum: Museum) -> None:
    await museum.put("a.jpg", plain(RED))
    gate = Gate(museum, "a.jpg")
    deleting = Deferred.fromCoroutine(museum.assets.delete(original("a.jpg")))
    request = museum.ask("a.jpg")
    await eventually(lambda: bool(museum.pool.jobs) and museum.pool.jobs[0].done.called)
    await gate.open()
    await deleting
    with pytest.raises(AssetNotFound):
        await request
    assert await museum.stored() == []


@pytest_twisted.ensureDeferred
async def test_whoever_goes_away_takes_the_waiting_job_along(museum: Museum, tmp_path: Path) -> None:
    await start_the_worker(museum)
    await museum.put("a.jpg", plain(RED))
    await museum.put("b.jpg", plain(BLUE))
    with museum.at_rest():
        at_work = museum.ask("a.jpg")
        await jobs_given(museum)
        gone = museum.ask("b.jpg")
        await jobs_given(museum, 2)
        gone.cancel()
        with pytest.raises(CancelledError):
            await gone
        assert museum.pool.jobs[1].done.called
    assert shows(await at_work, RED)
    assert not museum.pool.jobs[1].running
    assert await museum.stored() == ["a_50.jpg"]
    await eventually(lambda: not list(tmp_path.rglob(".staging/*")))
    assert shows(await museum.thumbnail("b.jpg"), BLUE)


@pytest_twisted.ensureDeferred
async def test_a_waiting_job_stays_while_anybody_waits_for_it(museum: Museum) -> None:
    await start_the_worker(museum)
    await museum.put("a.jpg", plain(RED))
    await museum.put("b.jpg", plain(BLUE))
    with museum.at_rest():
        at_work = museum.ask("a.jpg")
        await jobs_given(museum)
        leaving = [museum.ask("b.jpg", client=str(number)) for number in range(3)]
        await jobs_given(museum, 2)
        staying = museum.ask("b.jpg", client="patient")
        await eventually(lambda: museum.cache.waited == 5)
        for request in leaving:
            request.cancel()
            with pytest.raises(CancelledError):
                await request
        assert not museum.pool.jobs[1].done.called
    assert shows(await staying, BLUE)
    assert shows(await at_work, RED)
    assert len(museum.pool.jobs) == 2


@pytest_twisted.ensureDeferred
async def test_a_job_at_work_is_finished_for_whoever_comes_back(museum: Museum) -> None:
    await start_the_worker(museum)
    await museum.put("a.jpg", plain(RED))
    with museum.at_rest():
        request = museum.ask("a.jpg")
        await jobs_given(museum)
        request.cancel()
        with pytest.raises(CancelledError):
            await request
        returned = museum.ask("a.jpg")
    assert shows(await returned, RED)
    assert len(museum.pool.jobs) == 1


@pytest_twisted.ensureDeferred
async def test_when_too_much_waits_the_next_is_overloaded_and_is_served_later(
    opened: Open, stores: tuple[IAssetStore, IAssetStore]
) -> None:
    pool = new_pool(queue=1)
    museum = opened(stores, pool)
    await start_the_worker(museum)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        await museum.put(name, plain(RED))
    with museum.at_rest():
        accepted = []
        for count, name in enumerate(("a.jpg", "b.jpg"), 1):
            accepted.append(museum.ask(name))
            await jobs_given(museum, count)
        with pytest.raises(Overloaded):
            await museum.thumbnail("c.jpg")
        with pytest.raises(Overloaded):
            await museum.assets.metadata(original("c.jpg"), "a")
        shared = museum.ask("b.jpg")
    for request in [*accepted, shared]:
        assert shows(await request, RED)
    assert shows(await museum.thumbnail("c.jpg"), RED)
    await pool.close()


@pytest_twisted.ensureDeferred
async def test_a_killed_worker_costs_no_picture(museum: Museum) -> None:
    await start_the_worker(museum)
    await museum.put("a.jpg", plain(RED))
    await museum.put("b.jpg", plain(BLUE))
    with museum.at_rest():
        requests = [museum.ask("a.jpg"), museum.ask("a.jpg")]
        await jobs_given(museum)
        waiting = museum.ask("b.jpg")
        await jobs_given(museum, 2)
        for pid in worker_pids():
            os.kill(pid, signal.SIGKILL)
        for request in requests:
            assert shows(await request, RED)
    assert shows(await waiting, BLUE)
    assert len(museum.pool.jobs) == 2


@pytest_twisted.ensureDeferred
async def test_a_picture_whose_workers_were_killed_twice_is_left_alone_for_a_while(
    files: Museum, tmp_path: Path
) -> None:
    await files.put("deadly.png", black_png(10_000, 10_000))
    request = files.ask("deadly.png")
    await end_two_workers(tmp_path / "files" / "originals" / "deadly.png", signal.SIGKILL)
    with pytest.raises(Interrupted):
        await request
    jobs = len(files.pool.jobs)
    with pytest.raises(Interrupted):
        await files.thumbnail("deadly.png")
    assert len(files.pool.jobs) == jobs


@pytest_twisted.ensureDeferred
async def test_a_mount_that_hangs_holds_up_its_request_and_no_worker(
    files: Museum, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Event()

    def open_when_the_mount_answers(path: str | Path, directory: int | None = None) -> FileIO:
        if path == "hung.jpg":
            answers.wait()
        return open_regular(path, directory)

    monkeypatch.setattr(spool, "open_regular", open_when_the_mount_answers)
    await files.put("hung.jpg", plain(RED))
    await files.put("b.jpg", plain(BLUE))
    hung = [files.ask("hung.jpg"), files.ask("hung.jpg", 60)]
    try:
        assert shows(await files.thumbnail("b.jpg"), BLUE)
        assert len(files.pool.jobs) == 1
    finally:
        answers.set()
    for request in hung:
        assert shows(await request, RED)


# -- files that come from elsewhere ------------------------------------------------------------------------------------


def copy_in(museum: Museum, key: AssetKey, content: bytes, age: float = 0.0) -> Path:
    """Write a file behind the museum's back, as if it had been done `age` seconds ago."""
    path = museum.originals.path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    written = path.stat().st_mtime - age
    os.utime(path, (written, written))
    return path


@pytest_twisted.ensureDeferred
async def test_a_file_copied_in_by_hand_has_a_thumbnail(files: Museum) -> None:
    copy_in(files, original("a.jpg"), plain(RED), age=3600)
    assert shows(await files.thumbnail("a.jpg"), RED)
    copy_in(files, original("a.jpg"), plain(BLUE))
    assert shows(await files.thumbnail("a.jpg"), BLUE)


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_older_than_its_original_is_made_anew(files: Museum) -> None:
    copy_in(files, original("a.jpg").thumbnail(50), plain(RED), age=3600)
    copy_in(files, original("a.jpg"), plain(BLUE), age=1800)
    with pytest.raises(AssetNotFound):
        await files.existing("a_50.jpg")
    assert shows(await files.thumbnail("a.jpg"), BLUE)
    assert len(files.pool.jobs) == 1


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.PDF", "a.png"])
async def test_the_official_server_s_thumbnails_are_used_and_deleted_with_their_original(
    files: Museum, name: str
) -> None:
    format_name = "JPEG" if name == "a.jpg" else "PNG"
    copy_in(files, original(name), b"never looked at", age=3600)
    official = copy_in(files, original(name).thumbnail(123), plain(RED, format_name), age=1800)
    assert await files.thumbnail(name, 123) == plain(RED, format_name)
    assert await files.existing(original(name).thumbnail(123).name) == plain(RED, format_name)
    assert files.pool.jobs == []
    await files.assets.delete(original(name))
    assert not official.exists()


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_taken_away_by_hand_is_made_again(museum: Museum) -> None:
    await museum.put("a.jpg", plain(RED))
    await museum.thumbnail("a.jpg")
    await museum.thumbnails.delete(original("a.jpg").thumbnail(50))
    assert shows(await museum.thumbnail("a.jpg"), RED)
    assert len(museum.pool.jobs) == 2


@pytest_twisted.ensureDeferred
async def test_originals_and_thumbnails_lie_in_their_own_stores(
    museum: Museum, stores: tuple[IAssetStore, IAssetStore]
) -> None:
    await museum.put("a.jpg", plain(RED))
    made = await museum.thumbnail("a.jpg")
    originals, thumbnails = stores
    assert await read_asset(originals, original("a.jpg")) == plain(RED)
    assert await read_asset(thumbnails, original("a.jpg").thumbnail(50)) == made
    if originals is not thumbnails:
        assert await collect(originals.list("", Kind.THUMBNAIL)) == []
        assert await collect(thumbnails.list("", Kind.ORIGINAL)) == []
