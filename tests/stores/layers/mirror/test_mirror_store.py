"""The mirror store: the promises of a store, and that copies follow."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from storage_plugins.filesystem import FilesystemStore
from storage_plugins.mirror import MirrorOptions, mirror
from tests.support.mirrors import DOWN, Mirrored, mirrored
from was_daemon.model.composition import IBackgroundWork, IComposedStore, IComposedStorePlugin, IReplaces
from was_daemon.model.errors import AssetNotFound, CannotMove, NoSpace, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, ICreates, IFileReader, ILocalFiles, IMoves, IRooted, ISizes
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.lookup import find_replaced, find_stat
from was_daemon.model.mirror import IMirror, IMirrorJournal
from was_daemon.stores.layers.mirror.changes import Found
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.mirror.store import MirrorStore
from was_daemon.stores.layers.patience import PATIENCE_SECONDS, REST_SECONDS
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, read_asset


class TestOverADirectory(StoreContract):
    @pytest_twisted.async_yield_fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[IAssetStore]:
        parts: dict[str, IAssetStore] = {
            "disk": FilesystemStore(tmp_path / "files", Layout.FLAT),
            "nas": FilesystemStore(tmp_path / "copy", Layout.SHARDED),
        }
        store = mirror.compose(MirrorOptions("disk", ["nas"], tmp_path / "journal"), "main", parts)
        IBackgroundWork(store).start()
        yield store
        await store.close()
        for part in parts.values():
            await part.close()


@pytest.mark.slow
class TestOverMemory(StoreContract):
    holds_assets_in_memory = True

    @pytest_twisted.async_yield_fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[IAssetStore]:
        journal = MirrorJournal(tmp_path / "main.sqlite", ["copy"])
        store = MirrorStore("main", MemoryStore(), {"copy": MemoryStore()}, journal)
        store.start()
        yield store
        await store.close()


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path) -> AsyncIterator[Mirrored]:
    async with mirrored(tmp_path) as found:
        yield found


def test_it_provides_the_interfaces(museum: Mirrored) -> None:
    verifyObject(IComposedStorePlugin, mirror)
    for interface in (IAssetStore, IComposedStore, IReplaces, IBackgroundWork, IMirror, ILocalFiles, ICreates, IMoves):
        verifyObject(interface, museum.store)
    assert ISizes.providedBy(museum.store)
    assert IRooted.providedBy(museum.store)
    verifyObject(IMirrorJournal, museum.store.journal)
    assert list(museum.store.parts) == [museum.primary, museum.copy]


@pytest_twisted.ensureDeferred
async def test_an_upload_is_acknowledged_when_the_primary_has_it_and_the_copy_follows(museum: Mirrored) -> None:
    museum.copy.trouble = DOWN
    key = await museum.put("a.jpg", b"bytes")
    assert await read_asset(museum.store, key) == b"bytes"
    assert await museum.names() == [[]]
    museum.copy.trouble = None
    await museum.settle(60)
    assert await read_asset(museum.copy, key) == b"bytes"
    assert (await museum.store.states())["copy1"].files == 0


@pytest_twisted.ensureDeferred
async def test_what_is_read_of_a_local_primary_is_its_file(museum: Mirrored) -> None:
    content = bytes(100_000)
    reader = await museum.store.open(await museum.put("a.jpg", content))
    assert IFileReader.providedBy(reader)
    await reader.close()


@pytest_twisted.ensureDeferred
async def test_the_last_of_several_versions_is_in_the_copy(museum: Mirrored) -> None:
    museum.copy.trouble = DOWN
    for number in range(5):
        key = await museum.put("a.jpg", b"version %d" % number)
    await museum.store.delete(await museum.put("gone.jpg", b"gone"))
    museum.copy.trouble = None
    museum.copy.calls.clear()
    await museum.settle(60)
    assert await read_asset(museum.copy, key) == b"version 4"
    assert museum.copy.calls.count("write") == 1
    assert await museum.names() == [["a.jpg"]]


@pytest_twisted.ensureDeferred
async def test_a_deletion_follows_and_derivatives_do_not(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.store.write(key.thumbnail(100), chunked(b"small"))
    await museum.settle(5)
    assert await museum.names(Kind.THUMBNAIL) == [[]]
    assert await museum.names() == [["a.jpg"]]
    await museum.store.delete(key)
    await museum.settle(5)
    assert await museum.names() == [[]]


@pytest_twisted.ensureDeferred
async def test_what_goes_to_the_trash_and_back_does_so_in_the_copy(museum: Mirrored) -> None:
    key, trashed = await museum.put("a.jpg", b"bytes"), AssetKey("", Kind.TRASH, "0123.file")
    await museum.settle(5)
    await museum.store.move(key, trashed)
    await museum.settle(5)
    assert (await museum.names(), await museum.names(Kind.TRASH)) == ([[]], [["0123.file"]])
    await museum.store.copy(trashed, key)
    await museum.store.delete(trashed)
    await museum.settle(5)
    assert (await museum.names(), await museum.names(Kind.TRASH)) == ([["a.jpg"]], [[]])
    assert await read_asset(museum.copy, key) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_every_copy_follows_also_while_another_is_down(tmp_path: Path) -> None:
    async with mirrored(tmp_path, copies=2) as museum:
        museum.copies["copy1"].trouble = DOWN
        await museum.put("a.jpg", b"bytes")
        await museum.settle(5)
        assert await museum.names() == [[], ["a.jpg"]]
        states = await museum.store.states()
        assert (states["copy1"].files, states["copy1"].bytes, states["copy2"].files) == (1, 5, 0)
        assert states["copy1"].problem == str(DOWN)


# -- what the primary has lost -----------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_file_that_the_primary_has_lost_is_read_from_the_copy(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", bytes(100_000))
    before = await museum.store.stat(key)
    await museum.settle(5)
    assert museum.store.warnings() == []
    museum.lose("a.jpg")
    reader = await museum.store.open(key)
    assert not IFileReader.providedBy(reader)
    assert await read_asset(museum.store, key) == bytes(100_000)
    # Caches and thumbnails stay valid.
    assert reader.stat == before == await museum.store.stat(key)
    assert museum.store.fallbacks == 3
    (warning,) = museum.store.warnings()
    assert "the primary has lost files; 1 file had to be read from a copy" in warning


@pytest.mark.parametrize("is_stale", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_is_uploaded_while_it_is_looked_for_is_not_called_lost(
    museum: Mirrored, is_stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    find = museum.store.journal.find
    museum.primary.trouble, museum.primary.only = AssetNotFound("no such asset"), {"stat", "open"}

    async def upload_before(*arguments: Any) -> Found:
        museum.primary.trouble = None
        if is_stale:
            await museum.put("a.jpg", b"newer")
        return await find(*arguments)

    monkeypatch.setattr(museum.store.journal, "find", upload_before)
    assert await read_asset(museum.store, key) == (b"newer" if is_stale else b"bytes")
    assert (museum.store.fallbacks, museum.store.warnings()) == (0, [])


@pytest_twisted.ensureDeferred
async def test_a_primary_that_is_down_is_read_from_the_copy(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    museum.primary.trouble = DOWN
    assert await read_asset(museum.store, key) == b"bytes"
    with pytest.raises(StoreUnavailable):
        await museum.store.stat(original("none.jpg"))
    with pytest.raises(StoreUnavailable):
        await museum.store.write(key, chunked(b"other"))


@pytest_twisted.ensureDeferred
async def test_a_deleted_file_does_not_come_back_from_a_copy_that_has_it_still(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    museum.copy.trouble, museum.copy.only = DOWN, {"delete"}
    await museum.store.delete(key)
    for look in (museum.store.stat, museum.store.open, museum.store.delete):
        with pytest.raises(AssetNotFound):
            await look(key)
    await museum.settle(100)
    with pytest.raises(AssetNotFound):
        await museum.store.stat(key)
    assert await museum.names() == [["a.jpg"]]


@pytest_twisted.ensureDeferred
async def test_a_lost_file_can_be_deleted_replaced_and_moved_to_the_trash(museum: Mirrored) -> None:
    keys = [await museum.put(name, b"bytes") for name in ("a.jpg", "b.jpg", "c.jpg")]
    await museum.settle(5)
    for key in keys:
        museum.lose(key.name)
    await museum.store.delete(keys[0])
    await museum.put("b.jpg", b"new")
    # The daemon then reads and writes the bytes itself.
    with pytest.raises(CannotMove):
        await museum.store.move(keys[2], AssetKey("", Kind.TRASH, "0123.file"))
    with pytest.raises(AssetNotFound):
        await museum.store.stat(keys[0])
    await museum.settle(5)
    assert await museum.names() == [["b.jpg", "c.jpg"]]
    assert await read_asset(museum.copy, keys[1]) == b"new"
    assert await read_asset(museum.store, keys[2]) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_a_lost_file_is_no_missing_one_while_its_copy_is_down(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    museum.lose("a.jpg")
    museum.copy.trouble = DOWN
    with pytest.raises(StoreUnavailable, match="its copy cannot be read"):
        await museum.store.open(key)
    with pytest.raises(AssetNotFound):
        await museum.store.open(original("none.jpg"))


@pytest_twisted.ensureDeferred
async def test_an_earlier_version_is_never_given_for_a_later_one_that_was_lost(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"old")
    await museum.settle(5)
    museum.copy.trouble = DOWN
    await museum.put("a.jpg", b"new")
    museum.lose("a.jpg")
    museum.copy.trouble = None
    with pytest.raises(StoreUnavailable, match="lost this version"):
        await museum.store.open(key)
    await museum.settle(100)
    # Nothing was deleted from the copy.
    assert await museum.names() == [["a.jpg"]]
    state = (await museum.store.states())["copy1"]
    assert (state.files, state.lost) == (0, 1)


@pytest_twisted.ensureDeferred
async def test_new_names_are_not_looked_for_in_the_copy(museum: Mirrored) -> None:
    await museum.settle(5)
    museum.copy.calls.clear()
    for _ in range(3):
        with pytest.raises(AssetNotFound):
            await museum.store.stat(original("new.jpg"))
    assert museum.copy.calls == []


@pytest_twisted.ensureDeferred
async def test_before_the_first_comparison_the_copy_is_asked(tmp_path: Path) -> None:
    async with mirrored(tmp_path, compared=False) as museum:
        await museum.copy.write(original("old.jpg"), chunked(b"bytes"))
        assert await read_asset(museum.store, original("old.jpg")) == b"bytes"
        museum.copy.trouble = DOWN
        # Uploads go on.
        with pytest.raises(AssetNotFound):
            await museum.store.stat(original("new.jpg"))


@pytest_twisted.ensureDeferred
async def test_no_upload_waits_for_a_copy_that_does_not_answer(tmp_path: Path) -> None:
    async with mirrored(tmp_path, compared=False, start=False) as museum:
        museum.copy.hangs = True
        assert await find_replaced(museum.store, original("new.jpg")) is None
        key = await museum.put("new.jpg", b"bytes")
        assert await find_replaced(museum.store, key) == await museum.primary.stat(key)
        assert museum.copy.calls == []


@pytest_twisted.ensureDeferred
async def test_who_asks_for_an_unknown_name_waits_a_moment_for_a_copy_that_does_not_answer(tmp_path: Path) -> None:
    async with mirrored(tmp_path, compared=False, start=False) as museum:
        museum.copy.hangs = True
        for read in (museum.store.stat, museum.store.open):
            reading = Deferred.fromCoroutine(read(original("new.jpg")))
            while not museum.copy.calls:
                await deferLater(reactor, 0.002)
            museum.clock.advance(PATIENCE_SECONDS)
            with pytest.raises(AssetNotFound):
                await reading
            museum.copy.calls.clear()
            with pytest.raises(AssetNotFound):
                await read(original("another.jpg"))
            with pytest.raises(AssetNotFound):
                await museum.store.delete(original("another.jpg"))
            assert museum.copy.calls == []
            museum.clock.advance(REST_SECONDS)


@pytest_twisted.ensureDeferred
async def test_without_read_copies_what_is_lost_is_not_there(tmp_path: Path) -> None:
    async with mirrored(tmp_path, reads_copies=False) as museum:
        key = await museum.put("a.jpg", b"bytes")
        await museum.settle(5)
        museum.lose("a.jpg")
        with pytest.raises(AssetNotFound):
            await museum.store.open(key)


# -- a disk that is gone, and disks that are full ----------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_an_empty_directory_in_the_place_of_the_disk_deletes_nothing(museum: Mirrored) -> None:
    keys = [await museum.put(f"{number}.jpg", b"bytes") for number in range(5)]
    await museum.settle(5)
    museum.copy.trouble = DOWN
    late = await museum.put("late.jpg", b"late")
    await museum.settle()
    museum.root.rename(museum.root.with_name("unmounted"))
    museum.root.mkdir()
    assert await museum.store.accept([""])
    await _until_primary(museum, late, has_it=False)
    museum.copy.trouble = None
    for key in keys:
        assert await read_asset(museum.store, key) == b"bytes"
    await museum.settle(1000)
    assert await museum.names() == [[f"{number}.jpg" for number in range(5)]]
    assert (await museum.store.states())["copy1"].lost == 1
    # It was mounted again.
    museum.root.rmdir()
    museum.root.with_name("unmounted").rename(museum.root)
    await museum.store.accept([""])
    await _until_primary(museum, late, has_it=True)
    await museum.settle(1000)
    assert await read_asset(museum.copy, late) == b"late"
    assert (await museum.store.states())["copy1"].lost == 0


async def _until_primary(museum: Mirrored, key: AssetKey, has_it: bool) -> None:
    """Wait for the primary to see another directory: it holds those in use open for a second."""
    while (await find_stat(museum.primary, key) is not None) != has_it:
        await deferLater(reactor, 0.05)


@pytest_twisted.ensureDeferred
async def test_a_full_primary_refuses_and_nothing_waits(museum: Mirrored) -> None:
    museum.primary.trouble, museum.primary.only = NoSpace("no space left in the store"), {"adopt"}
    with pytest.raises(NoSpace):
        await museum.put("a.jpg", b"bytes")
    await museum.settle(5)
    assert (await museum.store.states())["copy1"].files == 0
    assert "write" not in museum.copy.calls


@pytest_twisted.ensureDeferred
async def test_a_full_copy_gets_everything_when_there_is_room(museum: Mirrored) -> None:
    museum.copy.trouble, museum.copy.only = NoSpace("no space left in the store"), {"write"}
    keys = [await museum.put(f"{number}.jpg", b"bytes") for number in range(20)]
    await museum.settle(600)
    assert await museum.names() == [[]]
    museum.copy.trouble = None
    await museum.settle(90)
    for key in keys:
        assert await read_asset(museum.copy, key) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_without_its_journal_nothing_is_changed(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"old")
    await museum.settle(5)
    await _pragma(museum, "query_only = ON")
    with pytest.raises(StoreUnavailable, match="the journal of the mirror cannot be used"):
        await museum.put("a.jpg", b"new")
    with pytest.raises(StoreUnavailable):
        await museum.store.delete(key)
    with pytest.raises(StoreUnavailable):
        await museum.store.check()
    assert await read_asset(museum.store, key) == b"old"


@pytest_twisted.ensureDeferred
async def test_what_was_acknowledged_before_the_journal_s_disk_was_full_follows(museum: Mirrored) -> None:
    museum.copy.trouble = DOWN
    acknowledged = []
    await _pragma(museum, "max_page_count = 1")
    with pytest.raises(StoreUnavailable, match="full"):
        for number in range(1000):
            acknowledged.append(await museum.put(f"{number}.jpg", b"bytes %d" % number))
    assert acknowledged
    await museum.settle(60)
    await _pragma(museum, "max_page_count = 1000000")
    museum.copy.trouble = None
    await museum.settle(120)
    for number, key in enumerate(acknowledged):
        assert await read_asset(museum.copy, key) == b"bytes %d" % number
    assert (await museum.store.states())["copy1"].files == 0


async def _pragma(museum: Mirrored, text: str) -> None:
    """Set something for the connection of the journal."""
    await museum.store.journal._database.read(lambda connection: connection.execute(f"PRAGMA {text}").fetchall())


@pytest_twisted.ensureDeferred
async def test_an_upload_whose_outcome_is_unknown_is_looked_at_again(museum: Mirrored) -> None:
    key = await museum.put("a.jpg", b"old")
    await museum.settle(5)
    museum.primary.trouble, museum.primary.only = StoreFailed("nonsense"), {"write"}
    with pytest.raises(StoreFailed):
        await museum.store.write(key, chunked(b"new"))
    museum.copy.calls.clear()
    await museum.settle(5)
    assert (await museum.store.states())["copy1"].files == 0
    # The primary has what it had before: that need not be copied again.
    assert "write" not in museum.copy.calls
    assert await read_asset(museum.copy, key) == b"old"
