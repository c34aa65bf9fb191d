"""Originals in layers: which one is seen, and what is left of one that is deleted."""

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import alsoProvides, implementer

from storage_plugins.filesystem import FilesystemStore
from tests.support.moving import MovingStore
from was_daemon.library.trash.relocation import copy, move
from was_daemon.model.composition import stores_in
from was_daemon.model.errors import AssetExists, AssetNotFound, CannotList, CannotMove, NoThumbnail, StoreUnavailable
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    ICreates,
    IFileReader,
    IImageService,
    ILocalFiles,
    IMoves,
    IPreviews,
    IRedirects,
    ISizes,
    IStages,
    IThumbnails,
    IUnlisted,
)
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.lookup import find_replaced, find_stat
from was_daemon.stores.layers.layered.layer import Layer, nanoseconds
from was_daemon.stores.layers.layered.names import NameSet
from was_daemon.stores.layers.layered.store import LayeredStore
from was_daemon.stores.layers.patience import PATIENCE_SECONDS, Patience
from was_daemon.stores.layers.read_only import read_only
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect, read_asset, read_reader

async_test = pytest_twisted.ensureDeferred

KEY = AssetKey("Fish", Kind.ORIGINAL, "a.jpg")
OTHER = AssetKey("Fish", Kind.ORIGINAL, "b.jpg")
TRASHED = AssetKey("Fish", Kind.TRASH, "a.file")


class Down(MovingStore):
    """A store that is down while `is_down`, and never answers while it `hangs`; `asked` counts what it was asked."""

    is_down = hangs = False
    asked = 0

    async def stat(self, key: AssetKey) -> AssetStat:
        self.ask()
        if self.hangs:
            await Deferred()
        return await super().stat(key)

    async def open(self, key: AssetKey) -> IAssetReader:
        self.ask()
        return await super().open(key)

    async def delete(self, key: AssetKey) -> None:
        self.ask()
        await super().delete(key)
        await self.deleted()

    async def deleted(self) -> None:
        """Do what is to be done after a deletion."""

    def ask(self) -> None:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailable("down")


class House:
    """The layers new, old and masters, the last of which is read-only."""

    def __init__(self) -> None:
        self.new, self.old, self.masters = Down(), Down(), Down()
        self.store = self.again()

    def again(self) -> LayeredStore:
        """Another daemon's store of the same layers."""
        return LayeredStore(self.new, [Layer("old", self.old), Layer("masters", read_only(self.masters))])

    async def names(self) -> list[str]:
        return sorted(key.name for key in await collect(self.store.list("Fish", Kind.ORIGINAL)))


@pytest.fixture
def house() -> House:
    return House()


@async_test
async def test_the_first_layer_that_has_it_is_read(house: House) -> None:
    for layer, content in ((house.masters, b"master"), (house.old, b"old"), (house.new, b"new")):
        await layer.put(KEY, content)
        assert await read_asset(house.store, KEY) == content
        reader = await house.store.open(KEY)
        assert reader.stat == await house.store.stat(KEY)


@async_test
async def test_what_is_written_goes_to_the_first_layer(house: House) -> None:
    await house.old.put(KEY, b"old")
    await house.store.write(KEY, chunked(b"new"))
    assert await read_asset(house.store, KEY) == b"new"
    assert await read_asset(house.old, KEY) == b"old"


@async_test
async def test_a_read_of_the_first_layer_asks_no_other(house: House) -> None:
    await house.store.write(KEY, chunked(b"new"))
    before = house.new.asked
    await house.store.stat(KEY)
    assert (house.new.asked - before, house.old.asked, house.masters.asked) == (1, 0, 0)


@async_test
async def test_a_deletion_reaches_all_layers_that_may_be_written(house: House) -> None:
    for layer in (house.new, house.old):
        await layer.put(KEY, b"somewhere")
    await house.store.delete(KEY)
    assert not house.new.keys | house.old.keys
    with pytest.raises(AssetNotFound):
        await house.store.delete(KEY)


@async_test
async def test_no_older_version_is_seen_while_an_original_is_deleted(house: House) -> None:
    older = Down()
    store = LayeredStore(house.new, [Layer("old", house.old), Layer("older", older)])
    seen = []

    async def look() -> None:
        seen.append(await read_asset(store, KEY) if await find_stat(store, KEY) else None)

    for layer in (house.new, house.old, older):
        layer.deleted = look  # type: ignore[method-assign]  # a moment to look at
    await house.old.put(KEY, b"old")
    await older.put(KEY, b"older")
    await store.delete(KEY)
    assert seen == [b"old", None]


@async_test
async def test_what_is_deleted_stays_in_a_read_only_layer_and_is_seen_by_no_daemon(house: House) -> None:
    await house.masters.put(KEY, b"master")
    await house.masters.put(OTHER, b"another")
    await house.store.delete(KEY)
    assert await read_asset(house.masters, KEY) == b"master"
    for store in (house.store, house.again()):
        assert await find_stat(store, KEY) is None
        with pytest.raises(AssetNotFound):
            await store.open(KEY)
        with pytest.raises(AssetNotFound):
            await store.delete(KEY)
    assert await house.names() == ["b.jpg"]


@async_test
async def test_a_name_that_was_deleted_can_be_used_again_and_deleted_again(house: House) -> None:
    await house.masters.put(KEY, b"master")
    await house.store.delete(KEY)
    await house.store.write(KEY, chunked(b"new"))
    assert await read_asset(house.store, KEY) == b"new"
    assert await house.names() == ["a.jpg"]
    await house.store.delete(KEY)
    assert await find_stat(house.store, KEY) is None


@async_test
async def test_a_tombstone_is_no_asset_that_a_client_can_name(house: House) -> None:
    await house.masters.put(KEY, b"master")
    await house.store.delete(KEY)
    (tombstone,) = house.new.keys
    assert tombstone.kind is Kind.LAYERS
    assert await read_asset(house.new, tombstone) == b"a.jpg\n"
    for kind in (Kind.ORIGINAL, Kind.THUMBNAIL, Kind.PYRAMID, Kind.TRASH):
        assert await collect(house.store.list("Fish", kind)) == []


@async_test
async def test_a_name_is_listed_once(house: House) -> None:
    for layer in (house.new, house.old, house.masters):
        await layer.put(KEY, b"somewhere")
    await house.masters.put(OTHER, b"another")
    assert await house.names() == ["a.jpg", "b.jpg"]
    assert await collect(house.store.list("Fish", Kind.ORIGINAL, "b")) == [OTHER]


@async_test
async def test_thumbnails_of_other_layers_are_not_used(house: House) -> None:
    await house.old.put(KEY.thumbnail(100), b"of the old server")
    assert await find_stat(house.store, KEY.thumbnail(100)) is None
    assert await collect(house.store.list("Fish", Kind.THUMBNAIL)) == []


# -- layers that are down ----------------------------------------------------------------------------------------------


@async_test
async def test_no_older_version_is_served_while_an_upper_layer_is_down(house: House) -> None:
    await house.new.put(KEY, b"new")
    await house.old.put(KEY, b"old")
    house.new.is_down = True
    for read in (house.store.stat, house.store.open):
        with pytest.raises(StoreUnavailable):
            await read(KEY)


@async_test
async def test_what_may_be_in_a_layer_that_is_down_is_not_reported_as_missing(house: House) -> None:
    house.masters.is_down = True
    with pytest.raises(StoreUnavailable):
        await house.store.stat(KEY)
    await house.old.put(KEY, b"old")
    assert await read_asset(house.store, KEY) == b"old"


@async_test
async def test_what_an_upload_replaces_may_be_in_any_layer_and_is_not_waited_for(house: House) -> None:
    await house.old.put(KEY, b"old")
    assert await find_replaced(house.store, KEY) == await house.store.stat(KEY)
    await house.new.put(KEY, b"new")
    assert await find_replaced(house.store, KEY) == await house.new.stat(KEY)
    await house.masters.put(OTHER, b"master")
    await house.store.delete(OTHER)
    assert await find_replaced(house.store, OTHER) is None
    house.old.is_down = True
    assert await find_replaced(house.store, OTHER) is None
    house.new.is_down = True
    with pytest.raises(StoreUnavailable):
        await find_replaced(house.store, KEY)


@async_test
async def test_an_upload_waits_only_a_moment_for_a_layer_that_does_not_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(house.store, "_patience", Patience(clock))
    house.old.hangs = True
    looking = Deferred.fromCoroutine(find_replaced(house.store, KEY))
    clock.advance(PATIENCE_SECONDS)
    assert await looking is None
    before = house.old.asked
    assert await find_replaced(house.store, OTHER) is None
    assert house.old.asked == before


@async_test
async def test_a_deletion_changes_nothing_while_a_layer_that_it_has_to_reach_is_down(house: House) -> None:
    for layer in (house.new, house.old, house.masters):
        await layer.put(KEY, b"somewhere")
    house.old.is_down = True
    with pytest.raises(StoreUnavailable):
        await house.store.delete(KEY)
    assert house.new.keys == house.old.keys == {KEY}


@async_test
async def test_a_deletion_does_not_need_the_drive_of_masters(house: House) -> None:
    for layer in (house.new, house.masters):
        await layer.put(KEY, b"somewhere")
    house.masters.is_down = True
    await house.store.delete(KEY)
    house.masters.is_down = False
    assert await find_stat(house.store, KEY) is None
    house.masters.is_down = True
    with pytest.raises(StoreUnavailable):
        await house.store.delete(OTHER)


@async_test
async def test_a_check_looks_at_all_layers(house: House) -> None:
    await house.store.check()
    house.masters.is_down = True
    with pytest.raises(StoreUnavailable):
        await house.store.check()


# -- versions ----------------------------------------------------------------------------------------------------------


@async_test
async def test_two_layers_that_give_one_etag_to_different_bytes_are_told_apart(house: House) -> None:
    # Two stores in memory number their versions alike.
    await house.old.put(KEY, b"1")
    await house.masters.put(KEY, b"2")
    assert (await house.old.stat(KEY)).etag == (await house.masters.stat(KEY)).etag
    old = await house.store.stat(KEY)
    await house.old.delete(KEY)
    assert (await house.store.stat(KEY)).etag != old.etag


@async_test
async def test_a_time_in_whole_seconds_gets_a_fraction_that_only_this_version_has(house: House) -> None:
    times = set()
    for _ in range(3):
        await house.old.put(KEY, b"same", modified=1_700_000_000.0)
        times.add((await house.store.stat(KEY)).modified)
    assert len(times) == 3
    assert {int(time) for time in times} == {1_700_000_000}
    await house.old.put(KEY, b"same", modified=0.0)
    assert (await house.store.stat(KEY)).modified == 0.0


@pytest.mark.parametrize("time", [1_700_000_000_000_001_000, 1_765_432_109_876_543_210, 999_999_999, 1])
def test_the_time_of_a_file_is_found_from_what_is_told_of_it(time: int) -> None:
    assert nanoseconds(time / 1e9) / 1e9 == time / 1e9


# -- moves, for the trash ----------------------------------------------------------------------------------------------


@async_test
async def test_what_goes_to_the_trash_uncovers_no_older_version(house: House) -> None:
    for layer in (house.new, house.old, house.masters):
        await layer.put(KEY, b"somewhere")
    await move(house.store, KEY, TRASHED)
    assert await find_stat(house.store, KEY) is None
    assert await read_asset(house.store, TRASHED) == b"somewhere"
    await move(house.store, TRASHED, KEY)
    assert await read_asset(house.store, KEY) == b"somewhere"


@async_test
async def test_the_trash_gets_the_bytes_of_an_original_in_another_layer(house: House) -> None:
    await house.masters.put(KEY, b"master")
    with pytest.raises(CannotMove):
        await house.store.move(KEY, TRASHED)
    await copy(house.store, KEY, TRASHED)
    assert await read_asset(house.new, TRASHED) == b"master"
    await move(house.store, KEY, AssetKey("Fish", Kind.TRASH, "b.file"))
    assert await find_stat(house.store, KEY) is None


@async_test
async def test_nothing_comes_back_from_the_trash_over_an_original_in_another_layer(house: House) -> None:
    await house.new.put(TRASHED, b"trashed")
    await house.masters.put(KEY, b"master")
    with pytest.raises(AssetExists):
        await house.store.move(TRASHED, KEY)
    await house.store.move(TRASHED, KEY, replace=True)
    assert await read_asset(house.store, KEY) == b"trashed"


# -- interfaces --------------------------------------------------------------------------------------------------------


@pytest_twisted.async_yield_fixture
async def on_disks(tmp_path: Path) -> AsyncIterator[LayeredStore]:
    store = LayeredStore(
        FilesystemStore(tmp_path / "new", Layout.FLAT), [Layer("old", FilesystemStore(tmp_path / "old", Layout.FLAT))]
    )
    yield store
    for each in stores_in(store):
        await each.close()


def test_it_stages_creates_and_moves_as_its_first_layer_does(on_disks: LayeredStore, house: House) -> None:
    assert all(each.providedBy(on_disks) for each in (IStages, ICreates, IMoves))
    assert not any(each.providedBy(on_disks) for each in (ILocalFiles, ISizes, IRedirects, IThumbnails))
    assert not any(each.providedBy(house.store) for each in (IStages, ICreates))


@async_test
async def test_a_name_that_a_layer_below_has_is_not_new(on_disks: LayeredStore) -> None:
    await on_disks.parts[1].write(KEY, chunked(b"old"))
    staged = await on_disks.stage(KEY)
    await staged.write([b"new"])
    with pytest.raises(AssetExists):
        await on_disks.create(staged, KEY)
    stored = await on_disks.create(staged, OTHER)
    assert stored == await on_disks.stat(OTHER)
    again = await on_disks.stage(OTHER)
    with pytest.raises(AssetExists):
        await on_disks.create(again, OTHER)
    again.discard()


@async_test
async def test_files_of_this_machine_are_read_without_a_copy_in_every_layer(on_disks: LayeredStore) -> None:
    content = bytes(200_000)
    await on_disks.parts[1].write(KEY, chunked(content))
    await on_disks.write(OTHER, chunked(content))
    for key in (KEY, OTHER):
        reader = await on_disks.open(key)
        assert IFileReader.providedBy(reader)
        with IFileReader(reader).file() as file:
            assert file.read() == content == await read_reader(reader)
        await reader.close()


@implementer(IRedirects, IThumbnails)
class Elsewhere(MemoryStore):
    """A store whose assets have addresses, and which makes its thumbnails."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        return f"{self.address}/{key.name}"

    async def thumbnail(self, key: AssetKey, scale: int) -> tuple[IAssetReader, str]:
        return await self.open(key), "image/jpeg"

    async def image_service(self, key: AssetKey, page: int, version: int) -> str | None:
        return f"{self.address}/iiif/{key.name}"


@async_test
async def test_clients_are_sent_to_the_layer_that_has_it_if_all_layers_can_be_reached() -> None:
    near, far = Elsewhere("https://near.test"), Elsewhere("https://far.test")
    store = LayeredStore(near, [Layer("far", far)])
    assert IRedirects.providedBy(store)
    await far.write(KEY, chunked(b"far"))
    assert await store.url(KEY, "image/jpeg", None) == "https://far.test/a.jpg"
    reader, _ = await store.thumbnail(KEY, 100)
    assert await read_reader(reader) == b"far"
    await near.write(KEY, chunked(b"near"))
    assert await store.url(KEY, "image/jpeg", None) == "https://near.test/a.jpg"
    with pytest.raises(AssetNotFound):
        await store.url(OTHER, "image/jpeg", None)
    assert IThumbnails.providedBy(store)
    assert not IPreviews.providedBy(store)


@async_test
async def test_thumbnails_of_a_layer_that_makes_them_are_used_and_the_others_made_here() -> None:
    far = Elsewhere("https://far.test")
    store = LayeredStore(MemoryStore(), [Layer("far", far)])
    assert IPreviews.providedBy(store)
    assert not IRedirects.providedBy(store)
    await far.write(KEY, chunked(b"far"))
    reader, _ = await store.thumbnail(KEY, 100)
    assert await read_reader(reader) == b"far"
    await store.write(KEY, chunked(b"near"))
    with pytest.raises(NoThumbnail):
        await store.thumbnail(KEY, 100)
    with pytest.raises(AssetNotFound):
        await store.thumbnail(OTHER, 100)


@async_test
async def test_with_a_layer_that_lists_nothing_the_whole_lists_nothing() -> None:
    class Unlisted(MemoryStore):
        async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
            raise CannotList("lists nothing")
            yield KEY

    old = Unlisted()
    alsoProvides(old, IUnlisted)
    store = LayeredStore(MemoryStore(), [Layer("old", old)])
    assert IUnlisted.providedBy(store)
    with pytest.raises(CannotList):
        await collect(store.list("", Kind.ORIGINAL))
    assert await collect(store.list("", Kind.TRASH)) == []


@async_test
async def test_viewers_are_sent_to_the_image_server_of_the_layer_that_has_it() -> None:
    near: IAssetStore = MemoryStore()
    far = Elsewhere("https://far.test")
    alsoProvides(far, IImageService)
    store = LayeredStore(near, [Layer("far", far)])
    await far.write(KEY, chunked(b"far"))
    assert await store.image_service(KEY, 1, 3) == "https://far.test/iiif/a.jpg"
    await near.write(KEY, chunked(b"near"))
    assert await store.image_service(KEY, 1, 3) is None


def test_very_many_names_are_remembered_in_little_memory() -> None:
    names = NameSet()
    numbers = range(150_000)
    assert all(names.add(f"sp6{number}.att.jpg") for number in numbers)
    assert not any(names.add(f"sp6{number}.att.jpg") for number in numbers[::1000])
    assert names.add("another.jpg")
