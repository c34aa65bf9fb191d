"""The filesystem store: every promise of a store in both layouts, and what only a directory can do to it."""

# The tests look at the disk themselves, while nobody else needs the reactor.
# ruff: noqa: ASYNC240

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from storage_plugins.filesystem import FilesystemOptions, FilesystemStore, filesystem
from tests.support.needs import lacking
from tests.support.processes import eventually
from tests.support.staging import leave_stale
from tests.support.tiny_disk import tiny_disk
from was_daemon.model.errors import AssetNotFound, NoSpace, StoreUnavailable
from was_daemon.model.interfaces import IAssetReader, IAssetStore, IAssetStorePlugin, ILocalFiles, IStagingFile
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.local.disk import free_bytes
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.streams import chunked, collect, payload, read_asset, read_reader

NOBODY = 65534
LAYOUTS = pytest.mark.parametrize("layout", Layout)


class TestFlat(StoreContract):
    @pytest_twisted.async_yield_fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[IAssetStore]:
        store = filesystem.create(FilesystemOptions(tmp_path / "files"))
        yield store
        await store.close()


@pytest.mark.slow
class TestSharded(StoreContract):
    @pytest_twisted.async_yield_fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[IAssetStore]:
        store = filesystem.create(FilesystemOptions(tmp_path / "files", Layout.SHARDED))
        yield store
        await store.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest_twisted.async_yield_fixture
async def store(root: Path) -> AsyncIterator[FilesystemStore]:
    store = FilesystemStore(root, Layout.FLAT)
    yield store
    await store.close()


async def names(store: IAssetStore, collection: str = "", kind: Kind = Kind.ORIGINAL) -> list[str]:
    return sorted(key.name for key in await collect(store.list(collection, kind)))


async def assert_absent(store: IAssetStore, key: AssetKey) -> None:
    for look in (store.stat, store.open):
        with pytest.raises(AssetNotFound):
            await look(key)
    assert key.name not in await names(store, key.collection, key.kind)


def put(path: Path, content: bytes = b"bytes") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def everything_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


@pytest_twisted.ensureDeferred
async def test_it_provides_the_interfaces(store: FilesystemStore) -> None:
    verifyObject(IAssetStorePlugin, filesystem)
    verifyObject(IAssetStore, store)
    verifyObject(ILocalFiles, store)
    await store.write(original("a.jpg"), chunked(b"a"))
    reader = await store.open(original("a.jpg"))
    verifyObject(IAssetReader, reader)
    await reader.close()
    staged = await store.stage(None)
    verifyObject(IStagingFile, staged)
    staged.discard()


def test_making_a_store_touches_no_file(root: Path) -> None:
    store = filesystem.create(FilesystemOptions(root))
    assert not root.exists()
    assert str(root) in str(store)


# -- the official layout -----------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_an_official_server_s_directory_is_served_as_it_is(store: FilesystemStore, root: Path) -> None:
    put(root / "originals" / "sp6123.att.jpg", b"original")
    put(root / "thumbnails" / "sp6123.att_123.jpg", b"thumbnail")
    put(root / "Ichthyology" / "originals" / "fish.jpg", b"fish")
    assert await read_asset(store, original("sp6123.att.jpg")) == b"original"
    assert await read_asset(store, original("sp6123.att.jpg").thumbnail(123)) == b"thumbnail"
    assert await read_asset(store, original("fish.jpg", "Ichthyology")) == b"fish"
    assert await names(store) == ["sp6123.att.jpg"]
    assert await names(store, kind=Kind.THUMBNAIL) == ["sp6123.att_123.jpg"]
    assert await names(store, "Ichthyology") == ["fish.jpg"]


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_what_is_written_lies_where_the_layout_says_and_nothing_else_does(root: Path, layout: Layout) -> None:
    store = FilesystemStore(root, layout)
    keys = [original(name, collection) for name in ("abcd.jpg", "a", "ab.jpg") for collection in ("", "Fish/Slides")]
    for key in [*keys, *(key.thumbnail(123) for key in keys)]:
        await store.write(key, chunked(key.name.encode()))
        assert (root / layout.path(key)).read_bytes() == key.name.encode()
        assert store.path(key) == root / layout.path(key)
    assert everything_below(root) == sorted(layout.path(key) for key in [*keys, *(key.thumbnail(123) for key in keys)])
    assert await names(store) == ["a", "ab.jpg", "abcd.jpg"]
    await store.close()


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_all_files_of_a_kind_are_found_in_their_collection(root: Path, layout: Layout) -> None:
    store = FilesystemStore(root, layout)
    keys = [original(name, collection) for name in ("abcd.jpg", "a", "ab.jpg") for collection in ("", "Fish/Slides")]
    for key in keys:
        await store.write(key.thumbnail(123), chunked(b"thumbnail"))
        await store.write(key, chunked(b"original"))
    staged = await store.stage(keys[0].thumbnail(50))
    for collection in ("", "Fish/Slides"):
        found = await store.in_thread(
            None, lambda near=collection: sorted(entry.name for entry in store.files(near, Kind.THUMBNAIL))
        )
        assert found == sorted(key.thumbnail(123).name for key in keys if key.collection == collection)
    staged.discard()
    await store.close()


@pytest_twisted.ensureDeferred
async def test_a_file_copied_in_by_hand_is_an_asset_and_one_taken_away_is_none(
    store: FilesystemStore, root: Path
) -> None:
    await store.check()
    path = put(root / "originals" / "by hand.jpg", b"first")
    first = await store.stat(original("by hand.jpg"))
    assert await read_asset(store, original("by hand.jpg")) == b"first"
    put(root / "originals" / "by hand.jpg", b"again")
    os.utime(path, (1_000_000_000, 1_000_000_000.5))
    again = await store.stat(original("by hand.jpg"))
    assert again.etag != first.etag
    assert again.modified == 1_000_000_000.5
    path.unlink()
    await assert_absent(store, original("by hand.jpg"))


@pytest_twisted.ensureDeferred
async def test_originals_may_be_a_link_to_a_directory_elsewhere(
    store: FilesystemStore, root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "big disk"
    elsewhere.mkdir()
    root.mkdir()
    (root / "originals").symlink_to(elsewhere, target_is_directory=True)
    await store.write(original("a.jpg"), chunked(b"bytes"))
    assert (elsewhere / "a.jpg").read_bytes() == b"bytes"
    assert (root / "originals").is_symlink()
    assert await read_asset(store, original("a.jpg")) == b"bytes"
    assert await names(store) == ["a.jpg"]
    leave_stale(elsewhere)
    assert await store.clean([""]) == 1
    await store.delete(original("a.jpg"))
    assert everything_below(elsewhere) == []


@pytest_twisted.ensureDeferred
async def test_the_whole_store_may_be_a_link_to_a_directory_elsewhere(
    store: FilesystemStore, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    root.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    await store.check()
    await store.write(original("a.jpg"), chunked(b"bytes"))
    assert (tmp_path / "elsewhere" / "originals" / "a.jpg").read_bytes() == b"bytes"
    assert await names(store) == ["a.jpg"]


# -- what is no asset --------------------------------------------------------------------------------------------------


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_links_pipes_and_directories_among_the_originals_are_no_assets(
    root: Path, tmp_path: Path, layout: Layout
) -> None:
    store = FilesystemStore(root, layout)
    secret = put(tmp_path / "secret.txt", b"secret")
    keys = {name: original(name) for name in ("link.jpg", "dangling.jpg", "loop.jpg", "pipe.jpg", "directory.jpg")}
    for key in keys.values():
        store.path(key).parent.mkdir(parents=True, exist_ok=True)
    store.path(keys["link.jpg"]).symlink_to(secret)
    store.path(keys["dangling.jpg"]).symlink_to(tmp_path / "nowhere")
    store.path(keys["loop.jpg"]).symlink_to(store.path(keys["loop.jpg"]))
    os.mkfifo(store.path(keys["pipe.jpg"]))
    put(store.path(keys["directory.jpg"]) / "inside.jpg")
    for key in keys.values():
        await assert_absent(store, key)
        with pytest.raises(AssetNotFound):
            await store.delete(key)
        assert os.path.lexists(store.path(key))
    assert await names(store) == []
    assert secret.read_bytes() == b"secret"
    await store.close()


@pytest_twisted.ensureDeferred
async def test_a_directory_in_the_place_of_an_asset_is_not_deleted(store: FilesystemStore, root: Path) -> None:
    put(root / "originals" / "directory.jpg" / "inside.jpg")
    with pytest.raises(AssetNotFound):
        await store.delete(original("directory.jpg"))
    assert (root / "originals" / "directory.jpg" / "inside.jpg").exists()


@pytest_twisted.ensureDeferred
async def test_a_file_in_the_place_of_a_directory_is_a_collection_without_assets(
    store: FilesystemStore, root: Path
) -> None:
    put(root / "Fish", b"no directory")
    await assert_absent(store, original("a.jpg", "Fish"))
    with pytest.raises(AssetNotFound):
        await store.delete(original("a.jpg", "Fish"))


@pytest_twisted.ensureDeferred
async def test_hidden_files_and_names_that_no_client_may_use_are_not_listed(store: FilesystemStore, root: Path) -> None:
    put(root / "originals" / "a.jpg")
    put(root / "originals" / ".DS_Store")
    put(root / "originals" / "back\\slash.jpg")
    put(root / "originals" / "line\nbreak.jpg")
    (root / "originals" / os.fsdecode(b"latin\xe9.jpg")).write_bytes(b"bytes")
    assert await names(store) == ["a.jpg"]


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_staging_files_are_never_listed_and_leave_with_their_owner(root: Path, layout: Layout) -> None:
    store = FilesystemStore(root, layout)
    staged = [await store.stage(near) for near in (None, original("a.jpg"), original("a.jpg", "Fish"))]
    for each in staged:
        await each.write([b"half a photograph"])
    for collection in ("", "Fish"):
        for kind in Kind:
            assert await names(store, collection, kind) == []
    assert await store.clean(["", "Fish"]) == 0
    await store.adopt(staged[1], original("a.jpg"))
    assert await names(store) == ["a.jpg"]
    for each in staged:
        each.discard()
    await store.close()
    assert everything_below(root) == [layout.path(original("a.jpg"))]


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_stale_staging_files_are_removed_in_the_collections_directories(root: Path, layout: Layout) -> None:
    store = FilesystemStore(root, layout)
    await store.write(original("a.jpg"), chunked(b"bytes"))
    await store.write(original("a.jpg", "Fish/Slides"), chunked(b"bytes"))
    before = everything_below(root)
    for near in ("", "originals", "thumbnails", "Fish/Slides/originals", "Fish/Slides/thumbnails"):
        leave_stale(root / near)
    assert await store.clean(["", "Fish/Slides"]) == 5
    assert everything_below(root) == before
    await store.close()


@pytest_twisted.ensureDeferred
async def test_cleaning_a_store_that_is_not_there_yet_makes_nothing(store: FilesystemStore, root: Path) -> None:
    assert await store.clean([""]) == 0
    assert not root.exists()


@pytest_twisted.ensureDeferred
async def test_a_file_that_shrinks_while_it_is_read_breaks_off(store: FilesystemStore, root: Path) -> None:
    path = put(root / "originals" / "log.txt", payload(2_000_000))
    reader = await store.open(original("log.txt"))
    os.truncate(path, 600_000)
    with pytest.raises(Exception, match="shorter"):
        await read_reader(reader)
    await reader.close()


@pytest_twisted.ensureDeferred
async def test_any_number_of_collections_needs_a_limited_number_of_threads(store: FilesystemStore) -> None:
    def threads() -> int:
        return sum(thread.name.startswith("disk ") for thread in threading.enumerate())

    before = threads()
    for _ in range(2):
        for number in range(300):
            with pytest.raises(AssetNotFound):
                await store.stat(original("a.jpg", f"Fish{number}"))
        # Two each, one to answer and one to look where the directory is; some may be about to end.
        assert threads() - before <= 200


@pytest_twisted.ensureDeferred
async def test_one_request_after_the_other_needs_one_thread(store: FilesystemStore) -> None:
    await store.write(original("a.jpg", "Birds"), chunked(b"bytes"))
    for _ in range(200):
        await store.stat(original("a.jpg", "Birds"))
    assert sum("Birds" in thread.name for thread in threading.enumerate()) <= 2


# -- disks -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than `tmp_path`."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        lacking("there is no second file system")
    directory = Path(tempfile.mkdtemp(dir=memory))
    yield directory
    shutil.rmtree(directory)


@pytest_twisted.ensureDeferred
async def test_an_upload_is_adopted_from_another_file_system(
    store: FilesystemStore, root: Path, other_disk: Path
) -> None:
    root.mkdir()
    (root / "Fish").symlink_to(other_disk, target_is_directory=True)
    content = payload(1_500_000)
    staged = await store.stage(None)
    assert staged.path.stat().st_dev != other_disk.stat().st_dev
    await staged.write([content])
    stat = await store.adopt(staged, original("a.jpg", "Fish"))
    staged.discard()
    assert await store.stat(original("a.jpg", "Fish")) == stat
    assert await read_asset(store, original("a.jpg", "Fish")) == content
    await store.close()
    assert everything_below(other_disk) == ["originals/a.jpg"]
    assert everything_below(root) == []


@pytest_twisted.ensureDeferred
async def test_a_staging_file_lies_on_the_file_system_of_its_key(
    store: FilesystemStore, root: Path, other_disk: Path
) -> None:
    root.mkdir()
    (root / "Fish").symlink_to(other_disk, target_is_directory=True)
    staged = await store.stage(original("a.jpg", "Fish"))
    assert staged.path.stat().st_dev == other_disk.stat().st_dev
    staged.discard()
    await store.close()


@pytest_twisted.ensureDeferred
async def test_a_full_disk_is_no_space_and_changes_nothing(root: Path) -> None:
    with tiny_disk(root):
        store = FilesystemStore(root, Layout.FLAT)
        await store.write(original("kept.jpg"), chunked(b"old"))
        before = await store.stat(original("kept.jpg"))
        for name in ("kept.jpg", "new.jpg"):
            with pytest.raises(NoSpace) as caught:
                await store.write(original(name), chunked(payload(3_000_000)))
            assert str(root) not in str(caught.value)
        assert await store.stat(original("kept.jpg")) == before
        assert await read_asset(store, original("kept.jpg")) == b"old"
        # What did not fit is removed while nobody waits.
        await eventually(lambda: free_bytes(root) > 600_000)
        await store.write(original("small.jpg"), chunked(payload(500_000)))
        assert await names(store) == ["kept.jpg", "small.jpg"]
        await store.close()
        assert everything_below(root) == ["originals/kept.jpg", "originals/small.jpg"]


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A directory of an ordinary user, whom this process is until the test ends."""
    base = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(base, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield base
    if is_root:
        os.seteuid(0)
    for directory, _, _ in os.walk(base):
        Path(directory).chmod(0o700)
    shutil.rmtree(base)


@pytest_twisted.ensureDeferred
async def test_a_file_that_may_not_be_read_is_an_unavailable_store_and_no_missing_asset(ordinary_user: Path) -> None:
    store = FilesystemStore(ordinary_user, Layout.FLAT)
    await store.write(original("a.jpg"), chunked(b"bytes"))
    store.path(original("a.jpg")).chmod(0)
    with pytest.raises(StoreUnavailable) as caught:
        await store.open(original("a.jpg"))
    assert os.strerror(errno.EACCES).lower() in str(caught.value)
    assert str(ordinary_user) not in str(caught.value)
    await store.close()


@pytest_twisted.ensureDeferred
async def test_a_directory_that_may_not_be_written_to_is_told_by_the_check(ordinary_user: Path) -> None:
    store = FilesystemStore(ordinary_user / "files", Layout.FLAT)
    await store.write(original("a.jpg"), chunked(b"bytes"))
    for directory, _, _ in os.walk(ordinary_user / "files", topdown=False):
        Path(directory).chmod(0o500)
    with pytest.raises(StoreUnavailable):
        await store.check()
    for attempt in (
        store.write(original("a.jpg"), chunked(b"other")),
        store.write(original("b.jpg", "Fish"), chunked(b"other")),
        store.delete(original("a.jpg")),
    ):
        with pytest.raises(StoreUnavailable):
            await attempt
    assert await read_asset(store, original("a.jpg")) == b"bytes"
    await store.close()


# -- links that nobody has set on purpose ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
@pytest_twisted.ensureDeferred
async def test_a_link_in_the_place_of_a_shard_leads_nowhere(root: Path, tmp_path: Path, depth: int) -> None:
    store = FilesystemStore(root, Layout.SHARDED)
    elsewhere = put(tmp_path / "elsewhere" / "ss" / "passwd", b"secret").parent
    key = original("passwd")
    link = root / "originals" / "pa" if depth == 1 else root / "originals" / "pa" / "ss"
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere.parent if depth == 1 else elsewhere)
    await assert_absent(store, key)
    with pytest.raises(AssetNotFound):
        await store.delete(key)
    with pytest.raises(StoreUnavailable, match="in the way"):
        await store.write(key, chunked(b"mine"))
    assert [(path.name, path.read_bytes()) for path in elsewhere.iterdir()] == [("passwd", b"secret")]
    # Those beside it are not affected.
    await store.write(original("abcd.jpg"), chunked(b"bytes"))
    assert await names(store) == ["abcd.jpg"]
    await store.close()


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_nothing_is_staged_or_removed_through_a_link(root: Path, tmp_path: Path, layout: Layout) -> None:
    store = FilesystemStore(root, layout)
    theirs = leave_stale(tmp_path / "victim")
    for directory in (root, root / "originals"):
        directory.mkdir()
        (directory / ".staging").symlink_to(theirs.parent)
    with pytest.raises(StoreUnavailable, match="staging"):
        await store.check()
    assert await store.clean([""]) == 0
    for near in (None, original("a.jpg")):
        with pytest.raises(StoreUnavailable):
            await store.stage(near)
    assert everything_below(tmp_path / "victim") == [".staging/" + theirs.name]
    await store.close()


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_directories_that_link_to_each_other_are_not_gone_through(root: Path, layout: Layout) -> None:
    store = FilesystemStore(root, layout)
    await store.write(original("abcd.jpg", "Fish"), chunked(b"bytes"))
    for link in ("a", "b", "Fish/a", "Fish/b"):
        (root / link).symlink_to(root)
    assert list(store.collections()) == ["Fish"]
    assert await store.clean(store.collections()) == 0
    assert not await store.accept(store.collections())
    assert await names(store, "Fish") == ["abcd.jpg"]
    await store.close()


@pytest_twisted.ensureDeferred
async def test_what_lies_in_another_shard_than_its_own_is_no_asset(root: Path) -> None:
    store = FilesystemStore(root, Layout.SHARDED)
    put(root / "originals" / "ab" / "cd" / "abcd.jpg", b"12")
    put(root / "originals" / "in" / "to" / "abcd.jpg")
    put(root / "originals" / "old" / "stuff" / "abcd.jpg")
    put(root / "originals" / "abcd.jpg")
    assert await names(store) == ["abcd.jpg"]
    assert await collect(store.sizes("")) == [2]
    await store.close()


@LAYOUTS
@pytest_twisted.ensureDeferred
async def test_of_the_staging_files_only_those_of_a_daemon_are_removed(root: Path, layout: Layout) -> None:
    store = FilesystemStore(root, layout)
    ours = leave_stale(root / "originals")
    theirs = [
        put(ours.with_name(name)) for name in ("release.tar", "0123456789abcdef0123456789abcdef", "was-1.part", "left")
    ]
    (ours.parent / f"{ours.name[:-6]}9.part").mkdir()
    assert await store.clean([""]) == 1
    assert not ours.exists()
    assert all(path.read_bytes() == b"bytes" for path in theirs)
    await store.close()
