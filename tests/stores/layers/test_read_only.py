"""A store that is only read: nothing in it changes, and a missing disk is no empty store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from storage_plugins.filesystem import FilesystemStore
from was_daemon.model.errors import AssetNotFound, StoreUnavailable
from was_daemon.model.interfaces import (
    IAssetStore,
    ICreates,
    IFileReader,
    ILocalFiles,
    IMoves,
    IPresence,
    IReadOnly,
    IRooted,
    ISizes,
    IStages,
)
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.layers.read_only import read_only
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked, collect, read_asset

async_test = pytest_twisted.ensureDeferred

KEY = AssetKey("", Kind.ORIGINAL, "a.jpg")


@pytest_twisted.async_yield_fixture
async def store(tmp_path: Path) -> AsyncIterator[IAssetStore]:
    """A drive with one large file."""
    (tmp_path / "drive/originals").mkdir(parents=True)
    (tmp_path / "drive/originals/a.jpg").write_bytes(bytes(100_000))
    store = read_only(FilesystemStore(tmp_path / "drive", Layout.FLAT))
    yield store
    await store.close()


def test_it_provides_what_is_about_reading(store: IAssetStore) -> None:
    assert all(each.providedBy(store) for each in (IAssetStore, IReadOnly, IRooted, ISizes))
    writing = (ILocalFiles, IStages, ICreates, IMoves, IPresence)
    assert not any(each.providedBy(store) for each in writing)
    assert not ISizes.providedBy(read_only(MemoryStore()))
    assert str(store).endswith("/drive, read-only")


@async_test
async def test_it_is_read_and_refuses_every_change(store: IAssetStore, tmp_path: Path) -> None:
    before = contents(tmp_path)
    await store.check()
    assert await read_asset(store, KEY) == bytes(100_000)
    reader = await store.open(KEY)
    assert IFileReader.providedBy(reader)
    await reader.close()
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]
    for change in (lambda: store.write(KEY, chunked(b"new"), 3), lambda: store.delete(KEY)):
        with pytest.raises(StoreUnavailable, match="read-only"):
            await change()
    assert contents(tmp_path) == before


@async_test
async def test_a_disk_that_is_not_mounted_is_no_empty_store(tmp_path: Path) -> None:
    store = read_only(FilesystemStore(tmp_path / "drive", Layout.FLAT))
    for ask in (
        lambda: store.stat(KEY),
        lambda: store.open(KEY),
        store.check,
        lambda: collect(store.list("", KEY.kind)),
    ):
        with pytest.raises(StoreUnavailable, match="mounted"):
            await ask()
    assert contents(tmp_path) == []
    (tmp_path / "drive").mkdir()
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)
    await store.check()
    await store.close()


def contents(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*"))
