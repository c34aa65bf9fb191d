"""Emptying of the trash in the background."""

import time
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.support.trashed import put_into_trash
from was_daemon.jobs import trash
from was_daemon.jobs.trash import TrashKeeper
from was_daemon.library.collections import Collections, Place
from was_daemon.library.quotas.quotas import Quotas
from was_daemon.library.trash.contents import TrashSize
from was_daemon.library.trash.removal import TrashRemoval
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.trash import Reason, TrashedVersion, TrashId
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect

async_test = pytest_twisted.ensureDeferred
HOUR = 3600.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trash, "_REMOVAL_SECONDS", 0)


class Stubborn(MemoryStore):
    """A store that does not delete some files."""

    kept: tuple[str, ...] = ()

    async def delete(self, key: AssetKey) -> None:
        if key.name in self.kept:
            raise StoreUnavailable("this one is held")
        await super().delete(key)


async def discard(store: IAssetStore, name: str, age: float, collection: str = "Fish") -> TrashedVersion:
    """Put a version of five bytes into the trash that came there so many seconds ago."""
    key, stat = AssetKey(collection, Kind.ORIGINAL, name), AssetStat(5, 0.0, "etag")
    version = TrashedVersion(TrashId.new(name, time.time() - age, 5), key, Reason.DELETED, stat)
    await store.write(version.record, chunked(version.encoded()))
    await store.write(version.file, chunked(b"bytes"))
    return version


def keeper_of(store: IAssetStore, metrics: Metrics | None = None) -> TrashKeeper:
    collections = Collections(Place("", store, store), {"Fish": Place("Fish", store, store, "main")})
    metrics = metrics or Metrics()
    return TrashKeeper(collections, {"main": store}, TrashRemoval(Quotas(metrics)), HOUR, metrics)


@async_test
async def test_only_what_is_due_is_removed() -> None:
    store, metrics = MemoryStore(), Metrics()
    old, new = await discard(store, "a", 2 * HOUR), await discard(store, "a", HOUR / 2)
    keeper = keeper_of(store, metrics)
    await keeper.empty()
    assert set(await collect(store.list("Fish", Kind.TRASH))) == {new.file, new.record}
    assert old.id != new.id
    assert keeper.sizes == {"main": TrashSize(1, 5)}
    shown = metrics.exposition().decode()
    for line in ('was_trash_bytes{store="main"} 5.0', 'was_trash_removed_total{store="main"} 1.0'):
        assert line in shown


@async_test
async def test_a_version_that_cannot_be_removed_holds_up_no_other_and_is_told_of() -> None:
    store = Stubborn()
    held, other = await discard(store, "a", 2 * HOUR), await discard(store, "b", 2 * HOUR)
    store.kept = (held.file.name,)
    keeper = keeper_of(store)
    await keeper.empty()
    assert set(await collect(store.list("Fish", Kind.TRASH))) == {held.file, held.record}
    assert keeper.problems() == ["the trash of store main cannot be emptied: this one is held"]
    store.kept = ()
    await keeper.empty()
    assert (await collect(store.list("Fish", Kind.TRASH)), keeper.problems()) == ([], [])
    assert other.id != held.id


@async_test
async def test_a_daemon_killed_between_file_and_record_is_followed_by_another_that_removes_the_record() -> None:
    store = MemoryStore()
    version = await discard(store, "a", 2 * HOUR)
    await store.delete(version.file)
    await keeper_of(store).empty()
    assert await collect(store.list("Fish", Kind.TRASH)) == []


@async_test
async def test_two_daemons_may_empty_one_trash_at_the_same_time() -> None:
    store = MemoryStore()
    for number in range(50):
        await discard(store, str(number), 2 * HOUR)
    keepers = [keeper_of(store), keeper_of(store)]
    for round_ in [Deferred.fromCoroutine(keeper.empty()) for keeper in keepers]:
        await round_
    assert await collect(store.list("Fish", Kind.TRASH)) == []
    assert [keeper.problems() for keeper in keepers] == [[], []]


@async_test
async def test_a_store_that_is_down_is_left_alone_until_the_next_round() -> None:
    class Down(MemoryStore):
        asked = 0

        async def delete(self, key: AssetKey) -> None:
            self.asked += 1
            raise StoreUnavailable("down")

    store = Down()
    for number in range(50):
        await discard(store, str(number), 2 * HOUR)
    keeper = keeper_of(store)
    await keeper.empty()
    assert store.asked < 10
    assert keeper.problems() == ["the trash of store main cannot be emptied: down"]


@async_test
async def test_what_a_person_has_put_there_stays(tmp_path: Path) -> None:
    store = MemoryStore()
    foreign = AssetKey("Fish", Kind.TRASH, put_into_trash(tmp_path, "a.jpg").file.name)
    await store.write(foreign, chunked(b"bytes"))
    await keeper_of(store).empty()
    assert await collect(store.list("Fish", Kind.TRASH)) == [foreign]
