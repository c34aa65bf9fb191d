"""Two daemons on one store, as far as they share nothing else: the use cases twice, on the same files."""

import errno
import fcntl
import io
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.defer import Deferred, DeferredList

from storage_plugins.filesystem import FilesystemStore
from tests.assets.test_assets import BLUE, GREEN, RED, Museum, new_pool, original, plain, shows
from tests.support.images import chart, encode
from tests.support.processes import eventually
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.thumbnails import EvictableThumbnails
from was_daemon.library.collections import Collections, Original, Place
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetExists, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IStagingFile
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.marks import MARK_SIZE, mark_of
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, read_asset
from was_daemon.workers.pool import WorkerPool

async_test = pytest_twisted.ensureDeferred

KEY = original("a.jpg")


class InterruptedFiles(FilesystemStore):
    """Files; something happens in the moment before a thumbnail of this daemon is in its place."""

    interruption: Callable[[], Awaitable[None]] | None = None

    async def adopt(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        interruption, self.interruption = self.interruption, None
        if interruption and key.kind is Kind.THUMBNAIL:
            await interruption()
        return await super().adopt(staged, key)


@pytest_twisted.async_yield_fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    """The workers of both."""
    pool = new_pool()
    yield pool
    await pool.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the files of both are."""
    return tmp_path / "files"


@pytest_twisted.async_yield_fixture
async def here(pool: WorkerPool, root: Path, tmp_path: Path) -> AsyncIterator[Museum]:
    """The daemon that may be interrupted."""
    store = InterruptedFiles(root, Layout.FLAT)
    museum = Museum(tmp_path / "spool", pool, store, store)
    yield museum
    await museum.close()


@pytest_twisted.async_yield_fixture
async def there(pool: WorkerPool, root: Path, tmp_path: Path) -> AsyncIterator[Museum]:
    """The other one."""
    store = FilesystemStore(root, Layout.FLAT)
    museum = Museum(tmp_path / "spool", pool, store, store)
    yield museum
    await museum.close()


def no_locks(fd: int, operation: int) -> None:
    """`fcntl.flock` on a file system without locks."""
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def interrupt(museum: Museum, by: Callable[[], Awaitable[None]]) -> None:
    assert isinstance(museum.originals, InterruptedFiles)
    museum.originals.interruption = by


@async_test
async def test_a_thumbnail_stored_after_another_daemon_has_replaced_its_original_is_not_served(
    here: Museum, there: Museum
) -> None:
    await here.put("a.jpg", plain(RED))
    interrupt(here, lambda: there.put("a.jpg", plain(BLUE)))
    assert shows(await here.thumbnail("a.jpg"), BLUE)
    assert shows(await there.thumbnail("a.jpg"), BLUE)


@async_test
async def test_nor_is_one_that_a_killed_daemon_stored_then(here: Museum, there: Museum) -> None:
    await here.put("a.jpg", plain(RED))
    await here.thumbnail("a.jpg")
    old = here.originals.path(KEY.thumbnail(50)).read_bytes()  # type: ignore[attr-defined]
    await there.put("a.jpg", plain(BLUE))
    here.originals.path(KEY.thumbnail(50)).write_bytes(old)  # type: ignore[attr-defined]
    with pytest.raises(AssetNotFound):
        await there.existing("a_50.jpg")
    for museum in (there, here):
        assert shows(await museum.thumbnail("a.jpg"), BLUE)


@async_test
async def test_nor_where_the_store_tells_no_more_than_other_stores_do(pool: WorkerPool, tmp_path: Path) -> None:
    store = MemoryStore()
    here, there = (Museum(tmp_path / "spool", pool, store, store) for _ in range(2))
    await here.put("a.jpg", plain(RED))
    await here.thumbnail("a.jpg")
    old = await read_asset(store, KEY.thumbnail(50))
    await there.put("a.jpg", plain(BLUE))
    await store.write(KEY.thumbnail(50), chunked(old))
    for museum in (here, there):
        assert shows(await museum.thumbnail("a.jpg"), BLUE)
    await here.close()
    await there.close()


@async_test
async def test_a_thumbnail_that_another_daemon_has_made_is_not_made_again(here: Museum, there: Museum) -> None:
    await here.put("a.jpg", plain(RED))
    assert await here.thumbnail("a.jpg") == await there.thumbnail("a.jpg")
    assert there.pool.jobs == []


@async_test
async def test_a_thumbnail_of_what_another_daemon_has_deleted_does_not_stay(here: Museum, there: Museum) -> None:
    await here.put("a.jpg", plain(RED))
    interrupt(here, lambda: there.assets.delete(KEY))
    with pytest.raises(AssetNotFound):
        await here.thumbnail("a.jpg")
    assert await there.stored() == []


@async_test
async def test_a_smaller_thumbnail_is_not_made_of_a_larger_one_that_is_old(here: Museum, there: Museum) -> None:
    await here.put("a.jpg", plain(RED))
    await here.thumbnail("a.jpg", 100)
    await there.put("a.jpg", plain(BLUE))
    assert shows(await here.thumbnail("a.jpg", 20), BLUE)


@async_test
async def test_what_is_put_back_from_a_backup_keeps_its_thumbnails(here: Museum, there: Museum, root: Path) -> None:
    await here.put("a.jpg", plain(RED))
    await here.thumbnail("a.jpg")
    shutil.copytree(root, root.with_name("backup"))
    shutil.rmtree(root)
    shutil.copytree(root.with_name("backup"), root)
    assert shows(await there.thumbnail("a.jpg"), RED)
    assert there.pool.jobs == []


@async_test
async def test_an_original_replaced_by_hand_by_an_older_file_has_a_new_thumbnail(here: Museum, root: Path) -> None:
    await here.put("a.jpg", plain(RED))
    await here.thumbnail("a.jpg")
    older = root / "originals" / ".older"
    older.write_bytes(plain(GREEN))
    os.utime(older, (1_000_000, 1_000_000))
    older.rename(root / "originals" / "a.jpg")
    assert shows(await here.thumbnail("a.jpg"), GREEN)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_a_picture_with_a_mark_is_the_same_picture(kind: str) -> None:
    content = encode(chart((60, 40)), kind)
    mark = mark_of(AssetStat(1, 2.5, "etag"))
    assert len(mark) == MARK_SIZE
    with Image.open(io.BytesIO(content)) as plain, Image.open(io.BytesIO(content + mark)) as marked:
        assert marked.format == kind
        assert marked.convert("RGB").tobytes() == plain.convert("RGB").tobytes()


@pytest.mark.parametrize("has_locks", [True, False])
@async_test
async def test_of_many_uploads_of_a_new_name_that_must_not_be_replaced_one_is_taken(
    pool: WorkerPool, root: Path, tmp_path: Path, has_locks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    stores = [FilesystemStore(root, Layout.FLAT) for _ in range(4)]
    museums = [Museum(tmp_path / "spool", pool, store, store, overwrite=False) for store in stores]
    for name in ("a.bin", "b.bin", "c.bin"):
        uploads = [Deferred.fromCoroutine(m.put(name, bytes([n]) * 1000)) for n, m in enumerate(museums)]
        outcomes = await DeferredList(uploads, consumeErrors=True)
        taken = [number for number, (is_taken, _) in enumerate(outcomes) if is_taken]
        assert len(taken) == 1
        assert all(is_taken or outcome.check(AssetExists) for is_taken, outcome in outcomes)
        assert await museums[0].get(name) == bytes([taken[0]]) * 1000
    await eventually(lambda: not list(root.rglob(".staging/*")))
    for museum in museums:
        await museum.close()


@async_test
async def test_every_version_is_later_than_the_last_whatever_the_clocks_say(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [FilesystemStore(root, Layout.FLAT) for _ in range(3)]
    await stores[0].write(KEY, chunked(b"0"))
    os.utime(stores[0].path(KEY), (time.time() + 3600,) * 2)
    before = await stores[0].stat(KEY)
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    writing = [Deferred.fromCoroutine(stores[n % 3].write(KEY, chunked(bytes([n])))) for n in range(30)]
    outcomes = await DeferredList(writing)
    times = [stat.modified for is_written, stat in outcomes if is_written]
    assert len(set(times)) == 30
    assert min(times) > before.modified
    assert (await stores[0].stat(KEY)).modified == max(times)
    for store in stores:
        await store.close()


@async_test
async def test_daemons_with_one_spool_do_not_take_each_others_copies_away(tmp_path: Path) -> None:
    store = MemoryStore()
    keys = [original(str(number)) for number in range(6)]
    place = Place("", store, store)
    originals = [Original(place, key, await store.write(key, chunked(key.name.encode() * 100))) for key in keys]
    # Each copy is one too many for what is kept.
    spools = [Spool(tmp_path / "spool", 50) for _ in range(3)]

    async def use(spool: Spool) -> None:
        for _ in range(5):
            for each in originals:
                with await spool.open(each) as copy:
                    assert copy.read() == each.key.name.encode() * 100

    outcomes = await DeferredList([Deferred.fromCoroutine(use(spool)) for spool in spools], consumeErrors=True)
    assert [outcome for is_done, outcome in outcomes if not is_done] == []
    for spool in spools:
        assert await spool.start() == 0
        await spool.close()


@async_test
async def test_what_another_daemon_adds_to_the_thumbnails_counts(root: Path) -> None:
    store = FilesystemStore(root, Layout.FLAT)
    evictor = Evictor(Collections(Place("", store, store)), 1000, EvictableThumbnails())
    await evictor.start()
    for number in range(15):
        await store.write(AssetKey("", Kind.THUMBNAIL, f"theirs-{number}_1.jpg"), chunked(b"x" * 100))
        await store.write(original(f"theirs-{number}.jpg"), chunked(b"x"))
    evictor.added(store, 101)
    await eventually(lambda: len(list(store.files("", Kind.THUMBNAIL))) == 9)
    await store.close()
