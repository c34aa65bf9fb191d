"""Thumbnails are kept within a size; the least recently used go first."""

import os
from collections.abc import Generator
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from storage_plugins.filesystem import FilesystemStore
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.thumbnails import EvictableThumbnails
from was_daemon.library.collections import Collections, Place
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.marks import MARK_SIZE, mark_of
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred

SIZE = 100


def thumbnail(number: int, collection: str = "") -> AssetKey:
    return AssetKey(collection, Kind.THUMBNAIL, f"asset-{number}_123.jpg")


@pytest.fixture(params=Layout)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[FilesystemStore, None, None]:
    store = FilesystemStore(tmp_path, request.param)
    yield store
    pytest_twisted.blockon(Deferred.fromCoroutine(store.close()))


async def fill(store: FilesystemStore, count: int) -> None:
    """Store `count` thumbnails and as many originals; the first was used longest ago."""
    for number in range(count):
        key = thumbnail(number, f"collection-{number % 3}")
        await store.write(key, chunked(b"x" * SIZE))
        os.utime(store.path(key), (1_000_000 + number, 2_000_000))
        await store.write(attrs.evolve(key, kind=Kind.ORIGINAL, name=f"asset-{number}.jpg"), chunked(b"x" * SIZE))


def left(store: FilesystemStore) -> list[int]:
    """The numbers of the thumbnails that are left."""
    names = [entry.name for directory in store.collections() for entry in store.files(directory, Kind.THUMBNAIL)]
    return sorted(int(name.split("-")[1].split("_")[0]) for name in names)


def evictor_of(store: FilesystemStore, max_size: int) -> Evictor:
    return Evictor(Collections(Place("", store, store), auto=True), max_size, EvictableThumbnails())


@async_test
async def test_nothing_goes_while_there_is_room(store: FilesystemStore) -> None:
    await fill(store, 10)
    await evictor_of(store, 10 * SIZE).start()
    assert left(store) == list(range(10))


@async_test
async def test_those_used_longest_ago_go_and_originals_stay(store: FilesystemStore) -> None:
    await fill(store, 10)
    await evictor_of(store, 5 * SIZE).start()
    assert left(store) == [6, 7, 8, 9]
    assert sum(len(list(store.files(f"collection-{number}", Kind.ORIGINAL))) for number in range(3)) == 10


@async_test
async def test_one_that_was_served_stays(store: FilesystemStore) -> None:
    await fill(store, 10)
    evictor = evictor_of(store, 5 * SIZE)
    evictor.used(thumbnail(0))
    await evictor.start()
    assert left(store) == [0, 7, 8, 9]


@async_test
async def test_a_new_one_makes_room_for_itself(store: FilesystemStore) -> None:
    await fill(store, 5)
    evictor = evictor_of(store, 5 * SIZE)
    await evictor.start()
    newest = await store.write(thumbnail(99, "collection-0"), chunked(b"x" * SIZE))
    evictor.added(store, newest.size)
    for _ in range(1000):
        if len(left(store)) == 4:
            break
        await deferLater(reactor, 0.01)
    assert left(store) == [2, 3, 4, 99]


@async_test
async def test_files_that_no_mark_and_no_original_tells_to_be_thumbnails_stay(store: FilesystemStore) -> None:
    await fill(store, 10)
    theirs = AssetKey("collection-1", Kind.THUMBNAIL, "holiday_2019.jpg")
    await store.write(theirs, chunked(b"x" * 20 * SIZE))
    os.utime(store.path(theirs), (1, 1))
    others = [store.root / "collection-1" / "thumbnails" / name for name in ("0.jpg", "notes.txt")]
    for other in others:
        other.write_bytes(b"x" * 20 * SIZE)
    await evictor_of(store, 5 * SIZE).start()
    for path in (store.path(theirs), *others):
        assert path.stat().st_size == 20 * SIZE
        path.unlink()
    assert left(store) == [6, 7, 8, 9]


@async_test
async def test_a_marked_thumbnail_goes_though_its_original_is_gone(store: FilesystemStore) -> None:
    for number in range(10):
        key = thumbnail(number, "collection-0")
        await store.write(key, chunked(mark_of(AssetStat(1, 1.0, "any"))))
        os.utime(store.path(key), (1_000_000 + number, 2_000_000))
    await evictor_of(store, 5 * MARK_SIZE).start()
    assert left(store) == [6, 7, 8, 9]
