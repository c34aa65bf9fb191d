"""Thumbnails are kept within a size; the least recently used go first."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from storage_plugins.filesystem import FilesystemStore
from was_daemon.keys import AssetKey, Kind, Layout
from was_daemon.testing.streams import chunked
from was_daemon.thumbnails.eviction import Evictor

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
        await store.write(AssetKey("", Kind.ORIGINAL, f"asset-{number}.jpg"), chunked(b"x" * SIZE))


def left(store: FilesystemStore) -> list[int]:
    """The numbers of the thumbnails that are left."""
    return sorted(int(path.name.split("-")[1].split("_")[0]) for path in store.files(Kind.THUMBNAIL))


@async_test
async def test_nothing_goes_while_there_is_room(store: FilesystemStore) -> None:
    await fill(store, 10)
    await Evictor([store], 10 * SIZE).start()
    assert left(store) == list(range(10))


@async_test
async def test_those_used_longest_ago_go_and_originals_stay(store: FilesystemStore) -> None:
    await fill(store, 10)
    await Evictor([store], 5 * SIZE).start()
    assert left(store) == [6, 7, 8, 9]
    assert len(list(store.files(Kind.ORIGINAL))) == 10


@async_test
async def test_one_that_was_served_stays(store: FilesystemStore) -> None:
    await fill(store, 10)
    evictor = Evictor([store], 5 * SIZE)
    evictor.used(thumbnail(0))
    await evictor.start()
    assert left(store) == [0, 7, 8, 9]


@async_test
async def test_a_new_one_makes_room_for_itself(store: FilesystemStore) -> None:
    await fill(store, 5)
    evictor = Evictor([store], 5 * SIZE)
    await evictor.start()
    newest = await store.write(thumbnail(99), chunked(b"x" * SIZE))
    evictor.added(store, newest.size)
    for _ in range(1000):
        if len(left(store)) == 4:
            break
        await deferLater(reactor, 0.01)
    assert left(store) == [2, 3, 4, 99]
