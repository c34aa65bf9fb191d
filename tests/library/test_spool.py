"""The spool: local copies of remote originals, each version fetched once, within a size."""

import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from storage_plugins.filesystem import FilesystemStore
from tests.support.processes import eventually
from tests.support.staging import leave_stale
from was_daemon.library import spool as spools
from was_daemon.library.collections import Original, Place
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetNotFound, StoreUnavailable, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.layers.layered.layer import Layer
from was_daemon.stores.layers.layered.store import LayeredStore
from was_daemon.stores.layers.read_only import read_only
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred


def original(name: str) -> AssetKey:
    return AssetKey("", Kind.ORIGINAL, name)


class CountingStore(MemoryStore):
    """Counts how often each original is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    async def open(self, key: AssetKey) -> MemoryReader:
        self.opened.append(key.name)
        return await super().open(key)


class ReplacedStore(CountingStore):
    """Has another version after each time that one was opened, so often."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def open(self, key: AssetKey) -> MemoryReader:
        reader = await super().open(key)
        if len(self.opened) > self.times:
            return reader

        class Gone(MemoryReader):
            async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
                raise VersionGone("gone")
                yield b""

        return Gone(b"", reader.stat)


@pytest.fixture
def spool(tmp_path: Path) -> Generator[Spool, None, None]:
    spool = Spool(tmp_path / "spool", 1000)
    yield spool
    pytest_twisted.blockon(Deferred.fromCoroutine(spool.close()))


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@async_test
async def test_what_is_replaced_while_it_is_fetched_is_fetched_again(spool: Spool) -> None:
    once = ReplacedStore(1)
    await put(once, "a.jpg", b"new")
    assert await spooled(spool, once, "a.jpg") == b"new"
    always = ReplacedStore(100)
    await put(always, "a.jpg", b"new")
    with pytest.raises(VersionGone):
        await spooled(spool, always, "a.jpg")
    assert len(always.opened) == 2


async def put(store: MemoryStore, name: str, content: bytes) -> str:
    return (await store.write(original(name), chunked(content))).etag


async def spooled(spool: Spool, store: MemoryStore, name: str) -> bytes:
    """What the spool says the current version of `name` contains."""
    stat = await store.stat(original(name))
    with await spool.open(version(store, name, stat.etag)) as copy:
        return copy.read()


def version(store: IAssetStore, name: str, etag: str) -> Original:
    return Original(Place("", store, store), original(name), AssetStat(0, 0.0, etag))


def copies(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "spool" / "copies").iterdir())


@async_test
async def test_a_copy_has_the_bytes_of_the_original(spool: Spool, store: CountingStore) -> None:
    await put(store, "a", b"abc" * 50)
    assert await spooled(spool, store, "a") == b"abc" * 50


@async_test
async def test_an_original_is_fetched_once(spool: Spool, store: CountingStore) -> None:
    await put(store, "a", b"abc")
    everyone = [Deferred.fromCoroutine(spooled(spool, store, "a")) for _ in range(10)]
    assert set(await gatherResults(everyone)) == {b"abc"}
    assert await spooled(spool, store, "a") == b"abc"
    assert store.opened == ["a"]


@async_test
async def test_a_new_version_is_fetched_anew(spool: Spool, store: CountingStore) -> None:
    await put(store, "a", b"old")
    await spooled(spool, store, "a")
    await put(store, "a", b"new")
    assert await spooled(spool, store, "a") == b"new"


@async_test
async def test_a_version_that_is_gone_gives_the_one_that_took_its_place(spool: Spool, store: CountingStore) -> None:
    old = await put(store, "a", b"old")
    await put(store, "a", b"new")
    with await spool.open(version(store, "a", old)) as copy:
        assert copy.read() == b"new"
    assert await spooled(spool, store, "a") == b"new"
    assert store.opened == ["a"]


@async_test
async def test_the_copies_used_last_are_kept(spool: Spool, store: CountingStore, tmp_path: Path) -> None:
    for name in "abc":
        await put(store, name, name.encode() * 400)
    for name in "abac":
        await spooled(spool, store, name)
    store.opened.clear()
    for name in "ac":
        await spooled(spool, store, name)
    assert store.opened == []
    await spooled(spool, store, "b")
    assert store.opened == ["b"]


@async_test
async def test_a_copy_in_use_stays_readable(spool: Spool, store: CountingStore, tmp_path: Path) -> None:
    etag = await put(store, "large", b"x" * 5000)
    await put(store, "other", b"y" * 900)
    with await spool.open(version(store, "large", etag)) as copy:
        await spooled(spool, store, "other")
        await eventually(lambda: len(copies(tmp_path)) == 1)
        assert copy.read() == b"x" * 5000


@async_test
async def test_a_missing_original_leaves_nothing(spool: Spool, store: CountingStore, tmp_path: Path) -> None:
    with pytest.raises(AssetNotFound):
        await spool.open(version(store, "missing", "any"))
    assert not (tmp_path / "spool" / "copies").exists()


@async_test
async def test_a_copy_that_somebody_removed_is_fetched_again(
    spool: Spool, store: CountingStore, tmp_path: Path
) -> None:
    await put(store, "a", b"abc")
    await spooled(spool, store, "a")
    for copy in copies(tmp_path):
        copy.unlink()
    assert await spooled(spool, store, "a") == b"abc"


@async_test
async def test_copies_outlive_the_process(spool: Spool, store: CountingStore, tmp_path: Path) -> None:
    await put(store, "a", b"abc")
    await spooled(spool, store, "a")
    later = Spool(tmp_path / "spool", 1000)
    await later.start()
    assert await spooled(later, store, "a") == b"abc"
    assert store.opened == ["a"]
    await later.close()


@async_test
async def test_unfinished_files_of_a_killed_process_are_removed(spool: Spool, tmp_path: Path) -> None:
    staging = leave_stale(tmp_path / "spool").parent
    mine = await spool.stage()
    assert await spool.start() == 1
    assert [path.name for path in staging.iterdir()] == [mine.path.name]
    mine.discard()


@async_test
async def test_local_files_are_not_copied(spool: Spool, tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store", Layout.FLAT)
    stat = await store.write(original("a"), chunked(b"abc"))
    inode = store.path(original("a")).stat().st_ino
    with await spool.open(version(store, "a", stat.etag)) as file:
        assert os.fstat(file.fileno()).st_ino == inode
    await store.close()


@async_test
async def test_a_pipe_or_a_link_in_place_of_a_local_file_is_no_asset(spool: Spool, tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store", Layout.FLAT)
    (tmp_path / "store" / "originals").mkdir(parents=True)
    os.mkfifo(store.path(original("pipe")))
    store.path(original("link")).symlink_to("/etc/hostname")
    for name in ("pipe", "link"):
        with pytest.raises(AssetNotFound):
            await spool.open(version(store, name, "any"))
    await store.close()


@async_test
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_directory_of_somebody_else_is_not_used(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    os.chown(tmp_path / "spool", 12345, 12345)
    with pytest.raises(StoreUnavailable):
        await spool.stage()


@async_test
async def test_there_are_not_more_copies_than_can_be_known_of(
    spool: Spool, store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "_MOST_COPIES", 2)
    for name in ("a.jpg", "b.jpg", "c.jpg", "b.jpg", "a.jpg"):
        await put(store, name, b"x") if name not in store.opened else None
        assert await spooled(spool, store, name) == b"x"
    assert store.opened == ["a.jpg", "b.jpg", "c.jpg", "a.jpg"]
    assert spool.size == 2


@async_test
async def test_a_file_of_this_machine_is_opened_in_place_in_every_layer(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 30)
    new, old = (FilesystemStore(tmp_path / name, Layout.FLAT) for name in ("new", "old"))
    store = LayeredStore(new, [Layer("old", read_only(old))])
    content = bytes(100_000)
    for layer, name in ((new, "new.jpg"), (old, "old.jpg")):
        await layer.write(original(name), chunked(content))
        found = Original(Place("", store, new), original(name), await store.stat(original(name)))
        with await spool.open(found) as file:
            assert file.read() == content
    assert spool.size == 0
    assert not spool.root.exists()
    for each in (new, old, spool):
        await each.close()
