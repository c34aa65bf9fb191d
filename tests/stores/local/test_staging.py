"""Staging files: no assets yet, locked by whoever writes them, gone unless they are published."""

# The tests look at the disk themselves, while nobody else needs the reactor.
# ruff: noqa: ASYNC240

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from tests.support.processes import eventually
from tests.support.staging import publish, stale_name
from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import UploadWithdrawn
from was_daemon.model.interfaces import IStagingFile
from was_daemon.stores.local.locking import FileLock, try_lock
from was_daemon.stores.local.staging import StagingFile, remove_stale, stage
from was_daemon.testing.streams import collect, payload

NOBODY = 65534

HOLD_A_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def descriptors_of(path: Path) -> list[str]:
    """The descriptors of this process that lead to `path`, removed or not."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.removesuffix(" (deleted)") == str(path):
            found.append(entry.name)
    return found


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Without root's right to open everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest_twisted.async_yield_fixture
async def threads() -> AsyncIterator[DiskThreads]:
    threads = DiskThreads("test")
    yield threads
    await threads.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "originals" / ".staging"


@pytest.fixture
def staged(threads: DiskThreads, directory: Path) -> Iterator[StagingFile]:
    staged = stage(threads, directory.parent)
    yield staged
    staged.remove()


@pytest_twisted.ensureDeferred
async def test_it_provides_its_interface_and_reads_what_was_written(staged: StagingFile) -> None:
    assert IStagingFile.providedBy(staged)
    parts = [payload(size, seed=size) for size in (1, 100_000, 0, 700_001)]
    await staged.write(parts[:2])
    await staged.write(parts[2:])
    content = b"".join(parts)
    assert b"".join(await collect(staged.read())) == content
    assert staged.path.read_bytes() == content


@pytest_twisted.ensureDeferred
async def test_thousands_of_small_chunks_are_written_at_once(staged: StagingFile) -> None:
    chunks = [b"%d," % number for number in range(5000)]
    await staged.write(chunks)
    assert staged.path.read_bytes() == b"".join(chunks)


@pytest_twisted.ensureDeferred
async def test_writing_nothing_is_nothing(staged: StagingFile) -> None:
    await staged.write([])
    await staged.write([b"", b""])
    assert staged.path.read_bytes() == b""


# -- publishing --------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_published_file_is_under_its_name_and_no_other(staged: StagingFile, tmp_path: Path) -> None:
    target = tmp_path / "far" / "below" / "a.jpg"
    await staged.write([b"new"])
    status = publish(staged, target)
    assert target.read_bytes() == b"new"
    assert not staged.path.exists()
    assert (status.st_ino, status.st_size, status.st_mtime_ns) == (
        target.stat().st_ino,
        3,
        target.stat().st_mtime_ns,
    )
    assert descriptors_of(target) == []


@pytest_twisted.ensureDeferred
async def test_publishing_replaces_the_file_that_was_there_and_leaves_it_to_its_readers(
    staged: StagingFile, tmp_path: Path
) -> None:
    target = tmp_path / "a.jpg"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        await staged.write([b"new"])
        publish(staged, target)
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"


def test_a_published_file_is_not_locked_though_a_worker_has_it_open(threads: DiskThreads, tmp_path: Path) -> None:
    target = tmp_path / "a.jpg"
    staged = stage(threads, tmp_path)
    workers = os.dup(staged.fileno())
    try:
        publish(staged, target)
        with target.open("rb") as published:
            assert try_lock(published.fileno()) is FileLock.OURS
    finally:
        os.close(workers)


def test_a_published_file_has_the_permissions_of_any_new_file(threads: DiskThreads, tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        publish(stage(threads, tmp_path), tmp_path / "a.jpg")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.jpg").stat().st_mode) == 0o640


@pytest_twisted.ensureDeferred
async def test_discarding_a_published_file_does_nothing(staged: StagingFile, tmp_path: Path) -> None:
    await staged.write([b"new"])
    publish(staged, tmp_path / "a.jpg")
    staged.discard()
    staged.remove()
    assert (tmp_path / "a.jpg").read_bytes() == b"new"


@pytest_twisted.ensureDeferred
async def test_a_publication_that_fails_changes_nothing_and_may_be_tried_again(
    staged: StagingFile, tmp_path: Path
) -> None:
    await staged.write([b"new"])
    occupied = tmp_path / "a.jpg"
    occupied.mkdir()
    (occupied / "child").touch()
    with pytest.raises(OSError, match=r"."):
        publish(staged, occupied)
    assert staged.path.read_bytes() == b"new"
    await staged.write([b"er"])
    publish(staged, tmp_path / "b.jpg")
    assert (tmp_path / "b.jpg").read_bytes() == b"newer"


def test_what_was_discarded_or_published_cannot_be_published(threads: DiskThreads, directory: Path) -> None:
    discarded, published = stage(threads, directory.parent), stage(threads, directory.parent)
    discarded.remove()
    publish(published, directory.parent / "a.jpg")
    for spent in (discarded, published):
        with pytest.raises(UploadWithdrawn):
            publish(spent, directory.parent / "b.jpg")
    assert not (directory.parent / "b.jpg").exists()


# -- giving up ---------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_discarded_file_vanishes_and_is_closed(staged: StagingFile) -> None:
    await staged.write([b"unwanted"])
    staged.discard()
    staged.discard()
    await eventually(lambda: not staged.path.exists() and descriptors_of(staged.path) == [])
    with pytest.raises(UploadWithdrawn):
        await staged.write([b"more"])
    with pytest.raises(UploadWithdrawn):
        await collect(staged.read())


@pytest_twisted.ensureDeferred
async def test_a_file_discarded_during_a_write_vanishes_and_no_other_file_is_written_to(
    threads: DiskThreads, directory: Path
) -> None:
    other = stage(threads, directory.parent)
    await other.write([b"other"])
    for _ in range(20):
        staged = stage(threads, directory.parent)
        writes = [Deferred.fromCoroutine(staged.write([payload(1_000_000)])) for _ in range(4)]
        staged.discard()
        reused = stage(threads, directory.parent)
        for write in writes:
            await write.addErrback(lambda failure: failure.trap(UploadWithdrawn))
        await eventually(lambda gone=staged: not gone.path.exists() and descriptors_of(gone.path) == [])
        assert reused.path.read_bytes() == b""
        reused.remove()
    assert other.path.read_bytes() == b"other"
    other.remove()
    assert list(directory.iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_a_file_discarded_after_its_write_was_cancelled_vanishes(staged: StagingFile) -> None:
    write = Deferred.fromCoroutine(staged.write([payload(5_000_000)]))
    write.cancel()
    staged.discard()
    with pytest.raises(CancelledError):
        await write
    await eventually(lambda: not staged.path.exists() and descriptors_of(staged.path) == [])


# -- what a killed process leaves --------------------------------------------------------------------------------------


def test_stale_files_are_removed_and_counted(directory: Path) -> None:
    directory.mkdir(parents=True)
    for number in range(3):
        (directory / stale_name(number)).write_bytes(b"half a photograph")
    (directory.parent / "a.jpg").write_bytes(b"an asset")
    assert remove_stale(directory.parent) == 3
    assert list(directory.iterdir()) == []
    assert remove_stale(directory.parent) == 0
    assert (directory.parent / "a.jpg").read_bytes() == b"an asset"


def test_where_nothing_was_staged_nothing_is_removed_or_made(directory: Path) -> None:
    assert remove_stale(directory.parent) == 0
    assert not directory.exists()


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_being_written_is_kept(staged: StagingFile, directory: Path) -> None:
    (directory / stale_name()).touch()
    await staged.write([b"half"])
    assert remove_stale(directory.parent) == 1
    await staged.write([b" and half"])
    publish(staged, directory.parent / "a.jpg")
    assert (directory.parent / "a.jpg").read_bytes() == b"half and half"


def test_a_file_that_another_process_writes_is_kept_until_it_is_killed(directory: Path) -> None:
    directory.mkdir(parents=True)
    path = directory / stale_name(9)
    path.touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        assert remove_stale(directory.parent) == 0
        other.kill()
        other.wait()
    assert remove_stale(directory.parent) == 1


def test_a_file_is_never_taken_for_a_stale_one_while_it_is_being_made(threads: DiskThreads, directory: Path) -> None:
    finished = False
    failures: list[BaseException] = []

    def clean() -> None:
        try:
            while not finished:
                remove_stale(directory.parent)
        except BaseException as error:
            failures.append(error)

    cleaner = Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(300):
            staged = stage(threads, directory.parent)
            assert staged.path.exists()
            staged.remove()
    finally:
        finished = True
        cleaner.join()
    assert failures == []


def test_what_is_no_file_does_not_keep_the_stale_ones(directory: Path, tmp_path: Path) -> None:
    directory.mkdir(parents=True)
    (tmp_path / "precious").write_bytes(b"precious")
    (directory / "a directory").mkdir()
    (directory / "a link").symlink_to(tmp_path / "precious")
    (directory / stale_name()).touch()
    remove_stale(directory.parent)
    assert not (directory / stale_name()).exists()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_stale_file_of_another_user_does_not_keep_the_others() -> None:
    base = Path(tempfile.mkdtemp())
    try:
        directory = base / ".staging"
        directory.mkdir()
        (directory / stale_name(9)).touch(mode=0o400)
        (directory / stale_name(9)).chmod(0)
        for number in range(5):
            (directory / stale_name(number)).touch()
        if os.geteuid() == 0:
            for path in (base, directory, *directory.glob("was-00*[0-5].part")):
                os.chown(path, NOBODY, NOBODY)
        with as_an_ordinary_user():
            remove_stale(directory.parent)
        assert list(directory.glob("was-00*[0-5].part")) == []
    finally:
        shutil.rmtree(base)


def test_a_staging_file_is_locked_and_not_inherited(staged: StagingFile) -> None:
    with staged.path.open("r+b") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (descriptor,) = descriptors_of(staged.path)
    assert not os.get_inheritable(int(descriptor))
