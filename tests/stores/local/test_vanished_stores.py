"""A store whose directory is gone, or another one: nothing is stored in its place, and it is not said to be well."""

# The tests look at the disk themselves, while nobody else needs the reactor.
# ruff: noqa: ASYNC210, ASYNC240

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import pytest_twisted

from storage_plugins.filesystem import FilesystemStore
from tests.conftest import RunDaemon
from tests.daemon.test_reload import reload
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.ports import free_port
from was_daemon.model.errors import AssetNotFound, StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, collect, read_asset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than `tmp_path`."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    directory = Path(tempfile.mkdtemp(dir=memory))
    yield directory
    shutil.rmtree(directory)


@pytest_twisted.async_yield_fixture
async def store(root: Path) -> AsyncIterator[FilesystemStore]:
    """A store in use, with one asset."""
    store = FilesystemStore(root, Layout.FLAT)
    await store.write(original("a.jpg"), chunked(b"bytes"))
    yield store
    await store.close()


async def assert_unavailable(store: FilesystemStore, key: AssetKey) -> None:
    for operation in (
        lambda: store.check(),
        lambda: store.stat(key),
        lambda: store.open(key),
        lambda: store.write(key, chunked(b"new")),
        lambda: store.stage(key),
        lambda: store.delete(key),
        lambda: collect(store.list(key.collection, Kind.ORIGINAL)),
    ):
        with pytest.raises(StoreUnavailable, match="is its disk mounted"):
            await operation()


def everything_below(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*")) if directory.exists() else []


def another(root: Path) -> None:
    (root / "originals").mkdir(parents=True)
    (root / "originals" / "a.jpg").write_bytes(b"a file of the disk below")


@pytest.mark.parametrize("instead", [lambda root: None, another], ids=["gone", "another"])
@pytest_twisted.ensureDeferred
async def test_nothing_is_stored_or_said_of_assets_where_the_directory_is_not_the_one_before(
    store: FilesystemStore, root: Path, instead: Callable[[Path], None]
) -> None:
    away = root.rename(root.with_name("away"))
    instead(root)
    before = everything_below(root)
    await assert_unavailable(store, original("a.jpg"))
    assert everything_below(root) == before
    shutil.rmtree(root, ignore_errors=True)
    away.rename(root)
    await store.check()
    assert await read_asset(store, original("a.jpg")) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_an_upload_under_way_is_not_stored_in_another_directory(store: FilesystemStore, root: Path) -> None:
    staged = await store.stage(original("new.jpg"))
    root.rename(root.with_name("away"))
    another(root)
    with pytest.raises(StoreUnavailable):
        await store.adopt(staged, original("new.jpg"))
    staged.discard()
    assert not (root / "originals" / "new.jpg").exists()


@pytest_twisted.ensureDeferred
async def test_a_link_to_a_disk_that_is_gone_is_no_place_for_uploads(tmp_path: Path, other_disk: Path) -> None:
    root = tmp_path / "link"
    root.symlink_to(other_disk)
    store = FilesystemStore(root, Layout.FLAT)
    await store.write(original("a.jpg"), chunked(b"bytes"))
    root.unlink()
    await assert_unavailable(store, original("a.jpg"))
    assert not root.exists()
    root.mkdir()
    await assert_unavailable(store, original("a.jpg"))
    root.rmdir()
    root.symlink_to(other_disk)
    assert await read_asset(store, original("a.jpg")) == b"bytes"
    await store.close()


@pytest.mark.parametrize("place", ["Fish", "Fish/originals"])
@pytest_twisted.ensureDeferred
async def test_the_disk_of_a_collection_that_is_gone_is_the_store_s_trouble(
    root: Path, other_disk: Path, place: str
) -> None:
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(other_disk)
    (other_disk / "originals").mkdir()
    key = original("a.jpg", "Fish")
    # Known from the start, before anybody has uploaded anything.
    store = FilesystemStore(root, Layout.FLAT)
    await store.check()
    await store.accept(["", "Fish"])
    (root / place).unlink()
    (root / place).mkdir()
    await assert_unavailable(store, key)
    assert everything_below(root / place) == []
    # Others are on.
    await store.write(original("a.jpg"), chunked(b"bytes"))
    (root / place).rmdir()
    (root / place).symlink_to(other_disk)
    await store.write(key, chunked(b"fish"))
    await store.check()
    assert await read_asset(store, key) == b"fish"
    await store.close()


@pytest_twisted.ensureDeferred
async def test_a_directory_with_other_numbers_is_known_by_what_the_daemon_has_left_there(
    store: FilesystemStore, root: Path
) -> None:
    await store.announce()
    # As a network mount that comes back, whose files are the same.
    shutil.copytree(root, root.with_name("copy"))
    root.rename(root.with_name("away"))
    root.with_name("copy").rename(root)
    await store.check()
    assert await read_asset(store, original("a.jpg")) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_a_replacement_is_accepted_when_it_is_said_so(store: FilesystemStore, root: Path) -> None:
    assert not await store.accept(["", "Fish"])
    root.rename(root.with_name("away"))
    assert not await store.accept(["", "Fish"])
    await assert_unavailable(store, original("a.jpg"))
    another(root)
    assert await store.accept(["", "Fish"])
    assert await read_asset(store, original("a.jpg")) == b"a file of the disk below"
    await store.write(original("b.jpg"), chunked(b"b"))
    assert not await store.accept(["", "Fish"])


@pytest_twisted.ensureDeferred
async def test_a_directory_that_was_never_there_is_made(root: Path) -> None:
    store = FilesystemStore(root, Layout.FLAT)
    assert not await store.exists()
    with pytest.raises(AssetNotFound):
        await store.stat(original("a.jpg"))
    assert await collect(store.list("", Kind.ORIGINAL)) == []
    assert not root.exists()
    await store.check()
    assert await store.exists()
    assert everything_below(root) == []
    await store.close()


@pytest_twisted.ensureDeferred
async def test_a_daemon_refuses_uploads_until_the_directory_is_back_or_accepted(
    run_daemon: RunDaemon, tmp_path: Path
) -> None:
    admin = free_port()
    config = {"server": {"admin_listen": [f"tcp:{admin}:interface=127.0.0.1"]}}
    daemon = run_daemon(config)
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", b"bytes")
    away = daemon.store.rename(tmp_path / "away")
    assert (await client.upload_like_specify7("b.jpg", b"bytes")).status == 503
    # For a second a directory that is open is taken for the one at its path.
    while (answer := await client.original("a.jpg")).status == 200:
        pass
    assert answer.status == 503
    with pytest.raises(HTTPError) as told:
        urlopen(f"http://127.0.0.1:{admin}/healthz", timeout=30)
    assert told.value.code == 503
    problem = f"store main: the store's directory is gone; is its disk mounted? ({daemon.store})"
    assert json.load(told.value)["problems"] == [problem]
    assert not daemon.store.exists()
    assert daemon.log().count("reload the daemon") == 1
    # Restored from a backup, without what the daemon had left there.
    shutil.copytree(away, daemon.store, ignore=shutil.ignore_patterns(".daemons"))
    assert (await client.upload_like_specify7("b.jpg", b"bytes")).status == 503
    reload(daemon, config)
    eventually(lambda: list(daemon.store.glob(".daemons/*")), "for the daemon to settle in")
    await client.store("b.jpg", b"bytes")
    assert (await client.original("a.jpg")).body == b"bytes"


_UNMOUNTED = """
mount -t tmpfs none "$1" && exec "$2" -c '
import subprocess, sys
from pathlib import Path
from twisted.internet import task
from twisted.internet.defer import ensureDeferred
from storage_plugins.filesystem import FilesystemStore
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import Layout
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked
async def main(root):
    store = FilesystemStore(root, Layout.FLAT)
    await store.write(original("a.jpg"), chunked(b"bytes"))
    subprocess.run(["umount", "-l", root], check=True)
    for operation in (store.check, lambda: store.write(original("b.jpg"), chunked(b"bytes"))):
        try:
            await operation()
        except StoreUnavailable as error:
            print(error)
    await store.close()
task.react(lambda _: ensureDeferred(main(Path(sys.argv[1]))))
' "$1"
"""


def test_nothing_is_stored_below_the_mount_point_of_an_unmounted_disk(tmp_path: Path) -> None:
    point = tmp_path / "mount"
    point.mkdir()
    unshare = shutil.which("unshare")
    if os.geteuid() or not unshare or subprocess.run([unshare, "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounts take root's rights and a namespace of their own")
    finished = subprocess.run(
        [unshare, "--mount", "sh", "-c", _UNMOUNTED, "sh", point, sys.executable], capture_output=True, text=True
    )
    problem = "the store's directory is another than before; is its disk mounted?"
    assert finished.stdout.splitlines() == [problem, problem], finished.stderr
    assert everything_below(point) == []
