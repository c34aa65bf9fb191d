"""What the kernel has in memory is opened without a thread; everything else is left to one."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.support.needs import lacking
from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import AssetNotFound
from was_daemon.stores.local import cached
from was_daemon.stores.local.cached import CachedFiles, read_cached

CONTENT = os.urandom(6000)

open_local = cached._open_local


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await deferLater(reactor, 0.001)


@pytest.fixture
def threads() -> Callable[[], DiskThreads]:
    kept = DiskThreads("cached")
    return lambda: kept


@pytest.fixture
def files() -> Iterator[CachedFiles]:
    files = CachedFiles(lambda _: None)
    yield files
    files.close()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    if cached._open_local(str(tmp_path)) is None:
        lacking("temporary files are on a file system that may have to ask another machine")
    (tmp_path / "ab").mkdir()
    for name in ("a.jpg", "ab/b.jpg"):
        (tmp_path / name).write_bytes(CONTENT)
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "out").symlink_to("/proc")
    return str(tmp_path)


async def known(files: CachedFiles, threads: Callable[[], DiskThreads], directory: str) -> None:
    """Have `files` look where `directory` is."""
    assert files.status(threads, directory, "a.jpg") is None
    await until(lambda: directory in files._directories)


@pytest_twisted.ensureDeferred
async def test_the_first_look_at_a_directory_is_left_to_a_thread(files, threads, directory) -> None:
    assert files.open(threads, directory, "a.jpg") is None
    await known(files, threads, directory)
    fd = files.open(threads, directory, "a.jpg")
    assert fd is not None
    assert read_cached(fd, len(CONTENT), 0) == CONTENT
    assert read_cached(fd, 100, 50) == CONTENT[50:150]
    os.close(fd)


@pytest_twisted.ensureDeferred
async def test_a_directory_that_is_missing_or_elsewhere_is_looked_at_once_in_a_while(
    files, threads, directory, monkeypatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cached, "_open_local", lambda path: asked.append(path) or open_local(path))
    for missing in (f"{directory}/none", "/proc/self/fd"):
        for _ in range(5):
            assert files.status(threads, missing, "a.jpg") is None
            await until(lambda: not files._refreshing)
        assert asked == [missing]
        asked.clear()
    os.rename(f"{directory}/ab", f"{directory}/none")  # noqa: PTH104 - a directory that comes later
    await until(lambda: files.status(threads, f"{directory}/none", "b.jpg") is not None)


@pytest_twisted.ensureDeferred
async def test_files_below_are_found(files, threads, directory) -> None:
    await known(files, threads, directory)
    status = files.status(threads, directory, "ab/b.jpg")
    assert status is not None
    assert status.st_size == len(CONTENT)


@pytest.mark.parametrize("path", ["link.jpg", "out/cmdline", "../a.jpg", "/etc/passwd"])
@pytest_twisted.ensureDeferred
async def test_links_and_ways_out_are_left_to_a_thread(files, threads, directory, path) -> None:
    await known(files, threads, directory)
    assert files.open(threads, directory, path) is None
    # A link has a status of its own.
    status = files.status(threads, directory, path)
    assert status is None or stat.S_ISLNK(status.st_mode)


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_gone_is_not_found_or_left_to_a_thread(files, threads, directory) -> None:
    await known(files, threads, directory)
    os.unlink(f"{directory}/a.jpg")  # noqa: PTH108  # nobody else waits here
    for _ in range(2):
        try:
            assert files.open(threads, directory, "a.jpg") is None
        except AssetNotFound:
            break


@pytest_twisted.ensureDeferred
async def test_a_file_system_that_is_not_of_this_machine_is_left_to_threads(files, threads) -> None:
    # /proc is none of those that are known to be.
    for _ in range(3):
        assert files.open(threads, "/proc/self", "status") is None
        while files._refreshing:
            await deferLater(reactor, 0.001)
    assert not files._directories


@pytest_twisted.ensureDeferred
async def test_a_directory_is_not_held_for_long(files, threads, directory, monkeypatch) -> None:
    monkeypatch.setattr(cached, "_SECONDS", 0.01)
    await known(files, threads, directory)
    while files._directories:
        await deferLater(reactor, 0.01)
    assert files.open(threads, directory, "a.jpg") is None


@pytest_twisted.ensureDeferred
async def test_what_is_not_all_there_is_not_read(files, threads, directory) -> None:
    await known(files, threads, directory)
    fd = files.open(threads, directory, "a.jpg")
    assert fd is not None
    assert read_cached(fd, len(CONTENT) + 1, 0) is None
    os.close(fd)
    assert read_cached(fd, 1, 0) is None


@pytest_twisted.ensureDeferred
async def test_after_the_end_nothing_is_held(threads, directory) -> None:
    files = CachedFiles(lambda _: None)
    assert files.open(threads, directory, "a.jpg") is None
    files.close()
    while files._refreshing:
        await deferLater(reactor, 0.001)
    assert not files._directories


@pytest_twisted.ensureDeferred
async def test_a_directory_in_use_is_looked_for_anew_in_time(files, threads, directory, monkeypatch) -> None:
    monkeypatch.setattr(cached, "_SECONDS", 60.0)
    monkeypatch.setattr(cached, "_FRESH_SECONDS", 0.0)
    await known(files, threads, directory)
    before = files._directories[directory]
    assert files.status(threads, directory, "a.jpg")
    while files._directories[directory] is before:
        await deferLater(reactor, 0.001)
    assert files.status(threads, directory, "a.jpg")
    assert not before.expiry.active()
