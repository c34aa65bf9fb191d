"""Versions in the trash, as people page through them."""

import time

import pytest_twisted

from was_daemon.jobs.trash_versions import TrashVersions
from was_daemon.library.collections import Collections, Place
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.trash import Reason, TrashedVersion, TrashId
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred


async def discard(store: MemoryStore, name: str, age: float, collection: str = "Fish") -> TrashedVersion:
    """Put a version of five bytes into the trash that came there so many seconds ago."""
    key, stat = AssetKey(collection, Kind.ORIGINAL, name), AssetStat(5, 0.0, "etag")
    version = TrashedVersion(TrashId.new(name, time.time() - age, 5), key, Reason.DELETED, stat)
    await store.write(version.record, chunked(version.encoded()))
    await store.write(version.file, chunked(b"bytes"))
    return version


def versions_in(store: MemoryStore) -> TrashVersions:
    places = {name: Place(name, store, store, "main") for name in ("Fish", "Birds")}
    return TrashVersions(Collections(Place("", store, store), places), ["Fish", "Birds"])


@async_test
async def test_pages_have_all_versions_of_all_collections_the_latest_first() -> None:
    store = MemoryStore()
    put = [await discard(store, str(age), float(age), ("Fish", "Birds")[age % 2]) for age in (5, 1, 4, 2, 3)]
    versions, before, paged = versions_in(store), None, []
    while True:
        found, before = await versions.latest(None, before, 2)
        paged += found
        if not before:
            break
    assert [version.key.name for version in paged] == ["1", "2", "3", "4", "5"]
    assert set(paged) == set(put)


@async_test
async def test_a_name_selects_its_versions() -> None:
    store = MemoryStore()
    for name in ("a[1].jpg", "a1.jpg", "a[1].jpg"):
        await discard(store, name, 1.0)
    found, following = await versions_in(store).latest("a[1].jpg", None, 10)
    assert ([version.key.name for version in found], following) == (["a[1].jpg"] * 2, None)


@async_test
async def test_a_version_that_cannot_be_restored_takes_a_place_and_is_not_told() -> None:
    store = MemoryStore()
    gone, kept = await discard(store, "gone", 1.0), await discard(store, "kept", 2.0)
    await store.delete(gone.file)
    assert await versions_in(store).latest(None, None, 1) == ([], gone.id)
    assert await versions_in(store).latest(None, gone.id, 1) == ([kept], None)
