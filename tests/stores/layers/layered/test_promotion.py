"""Promotion: what is read is copied into the first layer, and nothing that was deleted or replaced comes back."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from storage_plugins.filesystem import FilesystemStore
from tests.support.moving import MovingStore
from was_daemon.model.composition import PromotionState, stores_in
from was_daemon.model.errors import AssetNotFound, CannotMove, NoSpace, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.lookup import find_stat
from was_daemon.model.marks import is_mark_of, mark_of
from was_daemon.stores.layers.layered import promotion
from was_daemon.stores.layers.layered.layer import Layer
from was_daemon.stores.layers.layered.store import LayeredStore
from was_daemon.stores.layers.read_only import read_only
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect, payload, read_asset, read_reader

async_test = pytest_twisted.ensureDeferred

KEY = AssetKey("Fish", Kind.ORIGINAL, "a.jpg")


def promoting(first: MemoryStore, old: MemoryStore) -> LayeredStore:
    store = LayeredStore(first, [Layer("old", old)], 0)
    store.start()
    return store


async def settled(store: LayeredStore) -> None:
    assert store.promoter
    await store.promoter.settled()


async def close(store: LayeredStore) -> None:
    for each in stores_in(store):
        await each.close()


@async_test
async def test_what_is_read_is_soon_in_the_first_layer() -> None:
    first, old = MovingStore(), MovingStore()
    store = promoting(first, old)
    await old.put(KEY, b"old")
    assert await find_stat(store, KEY)
    await settled(store)
    # Whoever only asks for its size does not read it.
    assert not first.keys
    assert await read_asset(store, KEY) == b"old"
    await settled(store)
    assert first.keys == {KEY}
    assert await read_asset(first, KEY) == b"old"
    assert await read_asset(old, KEY) == b"old"
    assert await collect(store.list("Fish", Kind.ORIGINAL)) == [KEY]


@async_test
async def test_nothing_is_promoted_by_a_command_nor_without_the_option() -> None:
    first, old = MovingStore(), MovingStore()
    await old.put(KEY, b"old")
    command, without = LayeredStore(first, [Layer("old", old)], 0), LayeredStore(first, [Layer("old", old)])
    without.start()
    for store in (command, without):
        assert await read_asset(store, KEY) == b"old"
    await settled(command)
    assert not first.keys


@async_test
async def test_a_range_that_is_being_read_is_of_one_version_while_it_is_promoted() -> None:
    first, old = MovingStore(), MovingStore()
    store = promoting(first, old)
    content = payload(300_000)
    await old.put(KEY, content)
    reader = await store.open(KEY)
    chunks = reader.read(100_000, 300_000)
    begun = await anext(chunks)
    await settled(store)
    assert first.keys == {KEY}
    assert begun + b"".join([chunk async for chunk in chunks]) == content[100_000:]


@async_test
async def test_what_is_promoted_while_it_is_listed_is_listed_and_counted_once() -> None:
    first, old = MovingStore(), MovingStore()
    store = LayeredStore(first, [Layer("old", old)])
    keys = [AssetKey("Fish", Kind.ORIGINAL, f"{number}.jpg") for number in range(4)]
    for key in keys:
        await old.put(key, b"old")
    await store.promote(keys[0])
    listing = store.list("Fish", Kind.ORIGINAL)
    listed = [await anext(listing), await anext(listing)]
    for key in keys:
        await store.promote(key)
    listed += [key async for key in listing]
    assert sorted(listed, key=str) == keys
    assert first.keys == set(keys)


class Meanwhile(MovingStore):
    """A first layer in which something happens just before or just after a copy is written."""

    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None

    async def write(self, key: AssetKey, chunks, size: int | None = None) -> AssetStat:
        if key.kind is Kind.LAYERS and key.name.endswith(".copy") and self.before:
            await self.before()
        stat = await super().write(key, chunks, size)
        if key.kind is Kind.LAYERS and key.name.endswith(".copy") and self.after:
            await self.after()
        return stat


@async_test
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("masters", [True, False])
async def test_what_is_deleted_while_it_is_promoted_stays_deleted(when: str, masters: bool) -> None:
    first, old = Meanwhile(), MovingStore()
    await old.put(KEY, b"old")
    layer = Layer("old", read_only(old) if masters else old)
    other = LayeredStore(first, [layer])
    setattr(first, when, lambda: other.delete(KEY))
    assert not await LayeredStore(first, [layer]).promote(KEY)
    assert await find_stat(other, KEY) is None
    assert {key.name.partition(".")[2] for key in first.keys} == ({"tombstone"} if masters else set())


@async_test
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_replaced_while_it_is_promoted_stays_replaced(when: str) -> None:
    first, old = Meanwhile(), MovingStore()
    await old.put(KEY, b"old")
    setattr(first, when, lambda: MemoryStore.write(first, KEY, chunked(b"new")))
    assert not await LayeredStore(first, [Layer("old", old)]).promote(KEY)
    assert await read_asset(first, KEY) == b"new"
    assert first.keys == {KEY}


@async_test
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_version_that_the_old_server_has_replaced_meanwhile_is_not_promoted(when: str) -> None:
    first, old = Meanwhile(), MovingStore()
    await old.put(KEY, b"old")
    setattr(first, when, lambda: old.put(KEY, b"newer"))
    store = LayeredStore(first, [Layer("old", old)])
    assert not await store.promote(KEY)
    assert not first.keys
    first.before = first.after = None
    assert await store.promote(KEY)
    assert await read_asset(store, KEY) == b"newer"


@async_test
async def test_the_copy_of_a_killed_process_is_in_nobodys_way() -> None:
    first, old = MovingStore(), MovingStore()
    await old.put(KEY, b"old")
    store = LayeredStore(first, [Layer("old", old)])
    await first.put(store._records.copy_of(KEY), b"half")
    assert await store.promote(KEY)
    assert first.keys == {KEY}


class Faulty(MovingStore):
    """A layer whose bytes are not what was written to it."""

    async def open(self, key: AssetKey) -> MemoryReader:
        reader = await super().open(key)
        return MemoryReader(reader.content[:-1] + b"!", reader.stat)


class Short(MovingStore):
    """A layer that sends fewer bytes than it says."""

    async def open(self, key: AssetKey) -> MemoryReader:
        reader = await super().open(key)
        return MemoryReader(reader.content[:-1], reader.stat)


@async_test
@pytest.mark.parametrize(("first", "old"), [(Faulty(), MovingStore()), (MovingStore(), Short())])
async def test_what_is_not_what_was_written_is_not_promoted(first: MovingStore, old: MovingStore) -> None:
    await old.put(KEY, b"old")
    with pytest.raises(StoreFailed):
        await LayeredStore(first, [Layer("old", old)]).promote(KEY)
    assert not first.keys


@async_test
async def test_a_first_layer_that_cannot_move_assets_is_left_alone(logged: Callable[[], str]) -> None:
    first, old = MemoryStore(), MovingStore()
    await old.put(KEY, b"old")
    store = promoting(first, old)
    with pytest.raises(CannotMove):
        await store.promote(KEY)
    for _ in range(3):
        assert await read_asset(store, KEY) == b"old"
        await settled(store)
    assert await find_stat(first, KEY) is None
    assert logged().count("nothing is promoted") == 1


class Full(MovingStore):
    """A layer that takes nothing."""

    asked = 0

    async def write(self, key: AssetKey, chunks, size: int | None = None) -> AssetStat:
        self.asked += 1
        raise StoreUnavailable("down")


@async_test
async def test_after_a_failure_nothing_is_promoted_for_a_while(logged: Callable[[], str]) -> None:
    first, old = Full(), MovingStore()
    await old.put(KEY, b"old")
    store = promoting(first, old)
    for _ in range(3):
        assert await read_asset(store, KEY) == b"old"
        await settled(store)
    assert first.asked == 1
    assert "a.jpg" in logged()
    assert store.promotions == PromotionState(waiting=0, promoted=0, failed=1, problem="down")


@async_test
async def test_what_goes_to_the_trash_is_not_promoted_under_its_hands() -> None:
    first, old = MovingStore(), MovingStore()
    await old.put(KEY, b"old")
    store = promoting(first, old)
    with pytest.raises(CannotMove):
        await store.move(KEY, AssetKey("Fish", Kind.TRASH, "a.file"))
    await read_asset(store, KEY)
    await settled(store)
    assert not first.keys


@async_test
async def test_what_has_begun_when_the_daemon_stops_leaves_nothing() -> None:
    first, old = Meanwhile(), MovingStore()
    await old.put(KEY, b"old")
    store = promoting(first, old)
    hanging: Deferred[None] = Deferred()
    first.after = lambda: hanging
    await read_asset(store, KEY)
    await deferLater(reactor, 0)
    assert len(first.keys) == 1
    await store.close()
    assert not first.keys
    await read_asset(store, KEY)
    await settled(store)
    assert not first.keys


# -- on disks ----------------------------------------------------------------------------------------------------------


@pytest_twisted.async_yield_fixture
async def on_disks(tmp_path: Path) -> AsyncIterator[LayeredStore]:
    first, old = (FilesystemStore(tmp_path / name, Layout.FLAT) for name in ("new", "old"))
    store = LayeredStore(first, [Layer("old", old)], 0)
    store.start()
    yield store
    await close(store)


@async_test
async def test_the_same_bytes_keep_their_time_and_thumbnails(on_disks: LayeredStore) -> None:
    await on_disks.parts[1].write(KEY, chunked(b"old"))
    before = await on_disks.stat(KEY)
    assert await on_disks.promote(KEY)
    after = await on_disks.stat(KEY)
    assert after.modified == before.modified
    assert is_mark_of(mark_of(before), after)


@async_test
async def test_thumbnails_are_kept_although_the_old_server_tells_whole_seconds(tmp_path: Path) -> None:
    first, old = FilesystemStore(tmp_path / "new", Layout.FLAT), MovingStore()
    store = LayeredStore(first, [Layer("old", old)])
    await old.put(KEY, b"old", modified=1_700_000_000.0)
    before = await store.stat(KEY)
    assert await store.promote(KEY)
    assert is_mark_of(mark_of(before), await store.stat(KEY))
    assert int((await store.stat(KEY)).modified) == 1_700_000_000
    await close(store)


@async_test
async def test_a_replaced_file_has_a_later_time_than_the_promoted_one(on_disks: LayeredStore, tmp_path: Path) -> None:
    await on_disks.parts[1].write(KEY, chunked(b"old"))
    ahead = 4_000_000_000
    os.utime(tmp_path / "old/Fish/originals/a.jpg", (ahead, ahead))
    assert await on_disks.promote(KEY)
    promoted = await on_disks.stat(KEY)
    assert (await on_disks.write(KEY, chunked(b"new"))).modified > promoted.modified


@async_test
async def test_a_disk_that_is_nearly_full_is_left_to_the_uploads(
    on_disks: LayeredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_disks.parts[1].write(KEY, chunked(b"old"))
    monkeypatch.setattr(promotion, "_LEFT_FREE", sys.maxsize)
    with pytest.raises(NoSpace):
        await on_disks.promote(KEY)
    assert await find_stat(on_disks.primary, KEY) is None
    with pytest.raises(AssetNotFound):
        await on_disks.promote(AssetKey("Fish", Kind.ORIGINAL, "none.jpg"))


@async_test
async def test_promoted_files_are_read_while_they_are_being_promoted(on_disks: LayeredStore) -> None:
    content = payload(2_000_000)
    await on_disks.parts[1].write(KEY, chunked(content))
    reader = await on_disks.open(KEY)
    await settled(on_disks)
    assert await read_reader(reader, 1_000_000) == content[1_000_000:]
    await reader.close()
    assert await read_asset(on_disks.primary, KEY) == content
