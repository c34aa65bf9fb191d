"""The trash: nothing is lost, and nothing comes back by itself, whenever a process is killed."""

import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from storage_plugins.filesystem import FilesystemStore
from tests.support.killed import CopyingStore, Killed, KilledStore
from was_daemon.library.changes import Change, participating
from was_daemon.library.collections import Place
from was_daemon.library.quotas.quotas import Quotas
from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import store_staged
from was_daemon.library.trash.contents import TrashSize, can_be_restored, read_record, records, size_of_trash
from was_daemon.library.trash.removal import TrashRemoval
from was_daemon.library.trash.trash import Trash, TrashRules
from was_daemon.model.errors import AssetExists, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.lookup import find_stat
from was_daemon.model.origins import Origin
from was_daemon.model.trash import Reason, TrashedVersion
from was_daemon.stores.local.directories import Entry
from was_daemon.telemetry.metrics import Metrics
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect, read_asset

async_test = pytest_twisted.ensureDeferred

NAME = "Käfer" + "x" * 200 + ".jpg"
KEY = AssetKey("Fish", Kind.ORIGINAL, NAME)
TRASH = Trash(TrashRules(keeps_deleted=True, keeps_replaced=True))
STORES = ("bare", "copying", "flat", "sharded")
FOR_EVER = float("inf")


@attrs.frozen
class Museum:
    """A store with a trash, and a spool."""

    store: IAssetStore
    spool: Spool

    async def upload(self, content: bytes, store: IAssetStore | None = None, trash: Trash = TRASH) -> None:
        """Do what the daemon does with an upload."""
        store = store or self.store
        staged = await self.spool.stage()
        await staged.write([content])
        change = Change(Place("Fish", store, store), KEY, staged)
        change.keeps_previous = trash.rules.keep(change)
        async with participating(change, [trash.changing]):
            await store_staged(store, KEY, staged)

    async def delete(self, store: IAssetStore | None = None, origin: Origin | None = None) -> None:
        """Do what the daemon does with a deletion."""
        store = store or self.store
        change = Change(Place("Fish", store, store), KEY, origin=origin or Origin())
        change.keeps_previous = TRASH.rules.keep(change)
        async with participating(change, [TRASH.changing]):
            await TRASH.discard(change)

    async def restore(self, version: TrashedVersion, store: IAssetStore | None = None, replace: bool = False) -> None:
        """Do what `was-daemon trash restore` does."""
        store = store or self.store
        change = Change(Place("Fish", store, store), KEY, restored=version)
        change.keeps_previous = TRASH.rules.keep(change)
        async with participating(change, [TRASH.changing]):
            await TRASH.restore(change, replace)

    async def shown(self) -> list[TrashedVersion]:
        """What `was-daemon trash list` shows."""
        found = [await read_record(self.store, key) async for key in records(self.store, "Fish")]
        shown = [each for each in found if each and await can_be_restored(self.store, each)]
        return sorted(shown, key=lambda each: each.id.at)

    async def contents(self) -> list[bytes]:
        """The bytes of the versions that are shown."""
        return [await read_asset(self.store, each.file) for each in await self.shown()]

    async def original(self) -> bytes | None:
        """The bytes that a client gets."""
        return await read_asset(self.store, KEY) if await find_stat(self.store, KEY) else None


@pytest_twisted.async_yield_fixture(params=STORES)
async def museum(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Museum]:
    stores = {
        "bare": MemoryStore,
        "copying": CopyingStore,
        "flat": lambda: FilesystemStore(tmp_path / "store", Layout.FLAT),
        "sharded": lambda: FilesystemStore(tmp_path / "store", Layout.SHARDED),
    }
    store: IAssetStore = stores[request.param]()
    spool = Spool(tmp_path / "spool", 1 << 20)
    yield Museum(store, spool)
    await store.close()
    await spool.close()


@async_test
async def test_a_deleted_original_can_be_restored(museum: Museum) -> None:
    await museum.upload(b"bytes")
    before = await museum.store.stat(KEY)
    await museum.delete(origin=Origin(None, "192.0.2.7"))
    assert await museum.original() is None
    [version] = await museum.shown()
    assert (version.key, version.reason, version.by, version.version) == (KEY, Reason.DELETED, "192.0.2.7", before)
    await museum.restore(version)
    assert await museum.original() == b"bytes"
    assert await collect(museum.store.list("Fish", Kind.TRASH)) == []


@async_test
async def test_a_restored_file_has_its_time_on_a_disk(museum: Museum) -> None:
    if not isinstance(museum.store, FilesystemStore):
        pytest.skip("only disks keep it")
    await museum.upload(b"bytes")
    before = await museum.store.stat(KEY)
    await museum.delete()
    await museum.restore((await museum.shown())[0])
    assert await museum.store.stat(KEY) == before


@async_test
async def test_several_versions_of_a_name_are_kept(museum: Museum) -> None:
    for content in (b"1", b"22", b"333"):
        await museum.upload(content)
    await museum.delete()
    assert await museum.contents() == [b"1", b"22", b"333"]
    assert [each.reason for each in await museum.shown()] == [Reason.REPLACED, Reason.REPLACED, Reason.DELETED]
    assert await size_of_trash(museum.store, "Fish") == TrashSize(3, 6)


@async_test
async def test_replaced_versions_are_kept_only_if_asked(museum: Museum) -> None:
    trash = Trash(TrashRules(keeps_deleted=True))
    await museum.upload(b"1", trash=trash)
    await museum.upload(b"2", trash=trash)
    assert await museum.contents() == []


@async_test
async def test_a_new_original_is_not_overwritten_by_a_restoration(museum: Museum) -> None:
    await museum.upload(b"old")
    await museum.delete()
    await museum.upload(b"new")
    [version] = await museum.shown()
    with pytest.raises(AssetExists):
        await museum.restore(version)
    assert (await museum.original(), await museum.contents()) == (b"new", [b"old"])
    await museum.restore(version, replace=True)
    assert (await museum.original(), await museum.contents()) == (b"old", [b"new"])


@async_test
async def test_what_is_not_there_is_not_found_and_leaves_nothing_in_the_trash(museum: Museum) -> None:
    with pytest.raises(AssetNotFound):
        await museum.delete()
    assert await collect(museum.store.list("Fish", Kind.TRASH)) == []


@async_test
async def test_a_deletion_killed_at_any_step_loses_nothing(museum: Museum) -> None:
    steps = 0
    while True:
        steps += 1
        await museum.upload(b"bytes", trash=Trash())
        await _empty(museum)
        try:
            await museum.delete(KilledStore.over(museum.store, steps))
        except Killed:
            # What a client still gets is not shown as deleted.
            assert (await museum.original(), await museum.contents()) in ((b"bytes", []), (None, [b"bytes"]))
            await _tidy(museum)
        else:
            break
    assert steps > 4
    assert (await museum.original(), await museum.contents()) == (None, [b"bytes"])


@async_test
async def test_a_replacement_killed_at_any_step_loses_nothing(museum: Museum) -> None:
    steps = 0
    while True:
        steps += 1
        await museum.upload(b"old", trash=Trash())
        await _empty(museum)
        try:
            await museum.upload(b"newer", KilledStore.over(museum.store, steps))
        except Killed:
            # At no time there is no original.
            assert (await museum.original(), await museum.contents()) in ((b"old", []), (b"newer", [b"old"]))
            await _tidy(museum)
        else:
            break
    assert (await museum.original(), await museum.contents()) == (b"newer", [b"old"])


@async_test
async def test_a_restoration_killed_at_any_step_loses_nothing(museum: Museum) -> None:
    steps = 0
    while True:
        steps += 1
        await museum.upload(b"old", trash=Trash())
        await _empty(museum)
        await museum.delete()
        await museum.upload(b"newer", trash=Trash())
        [version] = await museum.shown()
        try:
            await museum.restore(version, KilledStore.over(museum.store, steps), replace=True)
        except Killed:
            kept = {await museum.original(), *await museum.contents()}
            assert {b"old", b"newer"} <= kept
        else:
            break
    assert (await museum.original(), await museum.contents()) == (b"old", [b"newer"])


@async_test
async def test_a_change_that_fails_leaves_nothing_in_the_trash(museum: Museum) -> None:
    await museum.upload(b"old")

    class Broken(KilledStore):
        async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
            if key.kind is Kind.ORIGINAL:
                raise StoreUnavailable("down")
            stat: AssetStat = await self._store.write(key, chunks, size)
            return stat

        async def adopt(self, _staged: object, _key: AssetKey) -> None:
            raise StoreUnavailable("down")

    with pytest.raises(StoreUnavailable):
        await museum.upload(b"new", Broken.over(museum.store, 0))
    assert await museum.original() == b"old"
    assert await collect(museum.store.list("Fish", Kind.TRASH)) == []


@async_test
async def test_an_original_whose_copy_is_not_what_was_read_stays(tmp_path: Path) -> None:
    class Lying(MemoryStore):
        async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
            content = b"".join([chunk async for chunk in chunks])
            return await super().write(key, chunked(content[:-1] if key.name.endswith(".file") else content))

    store = Lying()
    museum = Museum(store, Spool(tmp_path, 1))
    await store.write(KEY, chunked(b"bytes"))
    with pytest.raises(StoreFailed):
        await museum.delete()
    assert (await museum.original(), await museum.shown()) == (b"bytes", [])
    await museum.spool.close()


@async_test
async def test_only_files_that_a_record_proves_to_be_of_the_trash_are_removed(museum: Museum) -> None:
    await museum.upload(b"bytes")
    await museum.delete()
    [version] = await museum.shown()
    foreign = [
        AssetKey("Fish", Kind.TRASH, "holiday.jpg"),
        AssetKey("Fish", Kind.TRASH, version.id.text.replace(version.id.text[:4], "0000") + ".json"),
        AssetKey("Fish", Kind.TRASH, version.id.text.replace(version.id.text[:4], "0000") + ".file"),
        AssetKey("Fish", Kind.TRASH, version.id.text.replace(version.id.text[:4], "1111") + ".file"),
    ]
    for key in foreign:
        await museum.store.write(key, chunked(version.encoded()))
    await _empty(museum)
    assert set(await collect(museum.store.list("Fish", Kind.TRASH))) == set(foreign)


async def _empty(museum: Museum) -> None:
    removal = TrashRemoval(Quotas(Metrics()))
    for key in await collect(records(museum.store, "Fish")):
        await removal.remove_if_before(museum.store, key, FOR_EVER)


async def _tidy(museum: Museum) -> None:
    """Empty the trash of what a killed process has left: an original that is still there is left alone."""
    before = await museum.original()
    await _empty(museum)
    assert await museum.original() == before
    assert await collect(museum.store.list("Fish", Kind.TRASH)) == []


@async_test
async def test_a_restoration_killed_between_its_two_names_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemStore(tmp_path / "store", Layout.FLAT)
    museum = Museum(store, Spool(tmp_path / "spool", 1))
    await museum.upload(b"bytes")
    await museum.delete()
    [version] = await museum.shown()

    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "the power is off")

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", unlink)
        with pytest.raises(StoreUnavailable):
            await museum.restore(version)
    assert (await museum.original(), await museum.shown()) == (b"bytes", [])
    await _tidy(museum)
    await store.close()
    await museum.spool.close()


def _across_disks(step: Callable[[Entry, Entry], None]) -> Callable[[Entry, Entry], None]:
    """A step between two names that fails from an original to the trash."""

    def across(self: Entry, target: Entry) -> None:
        if self.name == NAME and target.name.endswith(".file"):
            raise OSError(errno.EXDEV, "another disk")
        step(self, target)

    return across


@async_test
async def test_files_are_copied_where_a_disk_cannot_rename_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if `originals` were a link to another disk."""
    store = FilesystemStore(tmp_path / "store", Layout.FLAT)
    museum = Museum(store, Spool(tmp_path / "spool", 1))
    await museum.upload(b"old")
    for name in ("rename", "link"):
        monkeypatch.setattr(Entry, name, _across_disks(getattr(Entry, name)))
    await museum.upload(b"newer")
    await museum.delete()
    assert (await museum.original(), await museum.contents()) == (None, [b"old", b"newer"])
    await store.close()
    await museum.spool.close()
