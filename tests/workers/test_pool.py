"""The pool with real workers: limits that hold, and a dead worker costs one request."""

# The tests look at the disk themselves, while nobody else needs the reactor.
# ruff: noqa: ASYNC240

import json
import os
import re
import signal
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.defer import CancelledError
from twisted.internet.process import Process

from tests.support.daemon import descriptors
from tests.support.images import jpeg, photograph, png_file
from tests.support.processes import eventually, paused, worker_pids
from was_daemon.model.errors import AssetError, BrokenImage, Interrupted, NoThumbnail, Overloaded, StoreUnavailable
from was_daemon.workers.commands import ReadMetadata, Render, RenderRegion
from was_daemon.workers.fair_queue import Job
from was_daemon.workers.pool import WorkerPool

SECRET = "correct horse battery staple"
MEMORY = 1 << 30

Pools = Callable[..., WorkerPool]


@pytest_twisted.async_yield_fixture
async def pools() -> AsyncIterator[Pools]:
    """Makes pools, and ends them when the test is over."""
    made: list[WorkerPool] = []

    def make(workers: int = 1, timeout: float = 60.0, memory: int = MEMORY, queue: int = 100) -> WorkerPool:
        made.append(WorkerPool(workers, timeout, memory, queue))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()
    await eventually(lambda: not worker_pids())


class Desk:
    """Submits jobs that read metadata, and notes which were done."""

    def __init__(self, pool: WorkerPool, directory: Path) -> None:
        self.pool = pool
        self.done: list[str] = []
        self._directory = directory
        self._source = directory / "photograph.jpg"
        self._source.write_bytes(photograph((60, 40)))

    def submit(self, name: str, client: str = "a", background: bool = False, source: Path | None = None) -> Job:
        files = [(source or self._source).open("rb"), (self._directory / f"{name}.json").open("w+b")]
        job = self.pool.submit(ReadMetadata, client, files, background)
        job.done.addCallback(self._note, name)
        return closing(job, files)

    def _note(self, answer: dict[str, object], name: str) -> None:
        assert answer == {"length": (self._directory / f"{name}.json").stat().st_size}
        assert "EXIF" in [group["Name"] for group in json.loads((self._directory / f"{name}.json").read_text())]
        self.done.append(name)


def closing(job: Job, files: list[BinaryIO]) -> Job:
    """`job`; its files are closed when it is done."""

    def close(outcome: Any) -> Any:
        for file in files:
            file.close()
        return outcome

    job.done.addBoth(close)
    return job


@pytest.fixture
def desk(pools: Pools, tmp_path: Path) -> Desk:
    return Desk(pools(), tmp_path)


def render(pool: WorkerPool, source: Path, target: Path) -> Job:
    files = [source.open("rb"), target.open("w+b")]
    output = {"scale": 50, "format": "JPEG", "owner": source.name}
    job = pool.submit(Render, "a", files, name=source.name, outputs=[output], max_pixels=500_000_000)
    return closing(job, files)


def enlarge(pool: WorkerPool, tile: Path) -> Job:
    """A view of one tile, written to this file, that takes seconds."""
    content = jpeg(size=(512, 512))
    tile.write_bytes(content)
    place = {"offset": 0, "length": len(content), "checksum": zlib.crc32(content), "x": 0, "y": 0}
    view = {"width": 9000, "height": 9000, "mirrored": False, "rotation": 0.0, "quality": "default", "format": "png"}
    files = [tile.open("rb"), tile.with_suffix(".png").open("w+b")]
    region = [0.0, 0.0, 512.0, 512.0]
    return closing(pool.submit(RenderRegion, "a", files, tiles=[place], alpha=[], region=region, **view), files)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and has none."""

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(bytes(3 * width + 1))))


def black_png(width: int, height: int) -> bytes:
    """A PNG that takes seconds to decode."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(bytes((3 * width + 1) * height), 1)))


@contextmanager
def short_of_time(pool: WorkerPool) -> Iterator[None]:
    """Jobs that are begun meanwhile have half a second, which would not be enough to start a worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_timeout", 0.5)
        yield


def workers_with(path: Path) -> set[int]:
    """The workers that hold a file open."""
    return {pid for pid in worker_pids() if str(path) in descriptors(pid)}


# -- work --------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_worker_is_started_on_first_need_and_kept(desk: Desk) -> None:
    assert worker_pids() == set()
    await desk.submit("first").done
    workers = worker_pids()
    assert len(workers) == 1
    await desk.submit("second").done
    assert worker_pids() == workers


@pytest_twisted.ensureDeferred
async def test_a_worker_loads_no_encryption_which_would_delay_its_start(desk: Desk) -> None:
    await desk.submit("first").done
    (worker,) = worker_pids()
    assert "/cryptography/" not in Path(f"/proc/{worker}/maps").read_text()


@pytest_twisted.ensureDeferred
async def test_there_are_never_more_workers_than_configured(pools: Pools, tmp_path: Path) -> None:
    desk = Desk(pools(workers=2), tmp_path)
    for job in [desk.submit(str(number)) for number in range(12)]:
        await job.done
        assert len(worker_pids()) <= 2
    assert sorted(desk.done, key=int) == [str(number) for number in range(12)]


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_is_written_where_it_was_asked_for(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg((300, 200)))
    answer = await render(desk.pool, tmp_path / "a.jpg", tmp_path / "thumbnail").done
    assert answer == {"width": 300, "height": 200}
    with Image.open(tmp_path / "thumbnail") as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (50, 33))


@pytest_twisted.ensureDeferred
async def test_what_is_no_image_is_told_from_what_is_a_broken_one(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"no image, and it does not say so")
    (tmp_path / "a.jpg").write_bytes(b"no image, but it says so")
    for name, error in (("a.txt", NoThumbnail), ("a.jpg", BrokenImage)):
        with pytest.raises(error) as caught:
            await render(desk.pool, tmp_path / name, tmp_path / "thumbnail").done
        assert str(caught.value).isprintable()
        assert str(tmp_path) not in str(caught.value)


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_workers_give_way_to_the_daemon_and_cannot_lift_their_limits(desk: Desk) -> None:
    await desk.submit("warm up").done
    (pid,) = worker_pids()
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert re.search(rf"Max address space +{MEMORY} +{MEMORY} ", limits)
    assert re.search(r"Max core file size +0 +0 ", limits)


@pytest_twisted.ensureDeferred
async def test_workers_are_told_no_secrets(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("ATTACHMENT_KEY", "PASSWORD", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(variable, SECRET)
    with (tmp_path / "key").open("w") as key:
        os.set_inheritable(key.fileno(), True)
        await desk.submit("warm up").done
        (pid,) = worker_pids()
        for entry in ("environ", "cmdline"):
            assert SECRET.encode() not in Path(f"/proc/{pid}/{entry}").read_bytes()
        opened = descriptors(pid)
        assert opened
        assert str(tmp_path / "key") not in opened


@pytest_twisted.ensureDeferred
async def test_a_job_that_takes_too_long_is_killed(desk: Desk) -> None:
    await desk.submit("warm up").done
    (pid,) = worker_pids()
    with paused({pid}), short_of_time(desk.pool), pytest.raises(BrokenImage, match="time"):
        await desk.submit("endless").done
    assert pid not in worker_pids()
    await desk.submit("after").done


@pytest_twisted.ensureDeferred
async def test_a_picture_larger_than_the_memory_is_refused_and_the_next_one_is_made(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png_header(21_000, 20_000))
    with pytest.raises(BrokenImage, match="memory"):
        await render(desk.pool, tmp_path / "large.png", tmp_path / "thumbnail").done
    (tmp_path / "a.jpg").write_bytes(jpeg())
    answer = await render(desk.pool, tmp_path / "a.jpg", tmp_path / "thumbnail").done
    assert answer == {"width": 240, "height": 160}


# -- deaths ------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_worker_killed_at_work_costs_no_job(desk: Desk) -> None:
    await desk.submit("before").done
    victims = worker_pids()
    with paused(victims):
        at_work, waiting = desk.submit("at work"), desk.submit("waiting")
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        await at_work.done
    await waiting.done
    assert desk.done == ["before", "at work", "waiting"]
    assert worker_pids().isdisjoint(victims)


async def end_two_workers(source: Path, how: signal.Signals) -> None:
    """Send the signal to the worker that reads a file, and then to the next one."""
    for _ in range(2):
        await eventually(lambda: bool(workers_with(source)))
        for pid in workers_with(source):
            os.kill(pid, how)
            await eventually(lambda pid=pid: pid not in worker_pids())  # type: ignore[misc]


@pytest.mark.parametrize(
    ("how", "error", "reason"),
    [
        (signal.SIGSEGV, BrokenImage, "ended the process"),
        # As the kernel does when memory is short, and administrators.
        (signal.SIGKILL, Interrupted, "try again later"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_file_of_which_two_workers_die_is_to_blame_unless_they_were_killed(
    desk: Desk, tmp_path: Path, how: signal.Signals, error: type[AssetError], reason: str
) -> None:
    deadly = tmp_path / "deadly.png"
    deadly.write_bytes(black_png(10_000, 10_000))
    job, waiting = render(desk.pool, deadly, tmp_path / "thumbnail"), desk.submit("waiting")
    await end_two_workers(deadly, how)
    with pytest.raises(error, match=reason):
        await job.done
    await waiting.done


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
@pytest_twisted.ensureDeferred
async def test_a_pyramid_that_the_daemon_has_made_is_never_to_blame(
    desk: Desk, tmp_path: Path, how: signal.Signals
) -> None:
    job = enlarge(desk.pool, tmp_path / "tile.jpg")
    await end_two_workers(tmp_path / "tile.jpg", how)
    with pytest.raises(Interrupted):
        await job.done


@pytest_twisted.ensureDeferred
async def test_nor_when_a_view_of_it_takes_too_long(pools: Pools, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        await enlarge(pools(timeout=0.5), tmp_path / "tile.jpg").done


@pytest_twisted.ensureDeferred
async def test_a_job_that_cannot_be_done_costs_neither_its_worker_nor_those_that_follow(desk: Desk) -> None:
    await desk.submit("warm up").done
    workers = worker_pids()
    for number in range(5):
        impossible = desk.pool.submit(ReadMetadata, "a", [])
        following = [desk.submit(f"{number}{letter}") for letter in "ab"]
        with pytest.raises(BrokenImage):
            await impossible.done
        for job in following:
            await job.done
        await desk.submit(f"{number}c").done
    assert worker_pids() == workers


@pytest_twisted.ensureDeferred
async def test_a_worker_that_cannot_be_killed_is_given_up_and_replaced_to_a_point(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if each read from a mount that hangs: SIGKILL comes when the mount answers.
    monkeypatch.setattr(Process, "signalProcess", lambda *_: None)
    monkeypatch.setattr("was_daemon.workers.process._KILL_SECONDS", 0.1)
    monkeypatch.setattr("was_daemon.workers.pool._MAX_UNKILLABLE", 2)
    stuck: set[int] = set()
    for number in range(2):
        await desk.submit(f"before {number}").done
        (pid,) = worker_pids() - stuck
        stuck.add(pid)
        os.kill(pid, signal.SIGSTOP)
        with short_of_time(desk.pool), pytest.raises(BrokenImage, match="time"):
            await desk.submit("stuck").done
    with pytest.raises(StoreUnavailable, match="hangs"):
        await desk.submit("one too many").done
    for pid in stuck:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in stuck))
    await desk.submit("after").done
    monkeypatch.undo()


@pytest_twisted.ensureDeferred
async def test_a_worker_killed_at_rest_is_replaced(desk: Desk) -> None:
    await desk.submit("before").done
    victims = worker_pids()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in victims))
    await desk.submit("after").done
    assert desk.done == ["before", "after"]


@pytest_twisted.ensureDeferred
async def test_a_closed_pool_leaves_no_process(desk: Desk) -> None:
    await desk.submit("first").done
    await desk.pool.close()
    await eventually(lambda: not worker_pids())


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_beyond_the_queue_jobs_are_refused_until_there_is_room(pools: Pools, tmp_path: Path) -> None:
    desk = Desk(pools(queue=2), tmp_path)
    await desk.submit("warm up").done
    with paused(worker_pids()):
        jobs = [desk.submit(name) for name in ("at work", "first", "second")]
        for client in ("a", "b"):
            with pytest.raises(Overloaded):
                desk.submit("too many", client)
        jobs.pop().done.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
        jobs.append(desk.submit("third"))
    for job in jobs:
        await job.done
    assert desk.done == ["warm up", "at work", "first", "third"]


@pytest_twisted.ensureDeferred
async def test_a_job_withdrawn_while_it_waits_is_never_done(desk: Desk, tmp_path: Path) -> None:
    await desk.submit("warm up").done
    with paused(worker_pids()):
        at_work, withdrawn, later = (desk.submit(name) for name in ("at work", "withdrawn", "later"))
        assert (at_work.running, withdrawn.running) == (True, False)
        withdrawn.done.cancel()
        with pytest.raises(CancelledError):
            await withdrawn.done
    await later.done
    assert not withdrawn.running
    assert desk.done == ["warm up", "at work", "later"]
    assert (tmp_path / "withdrawn.json").read_bytes() == b""


@pytest_twisted.ensureDeferred
async def test_a_job_given_up_at_work_keeps_its_worker_until_it_ends(desk: Desk, tmp_path: Path) -> None:
    await desk.submit("warm up").done
    workers = worker_pids()
    with paused(workers):
        given_up, later = desk.submit("given up"), desk.submit("later")
        given_up.done.cancel()
        with pytest.raises(CancelledError):
            await given_up.done
        assert not later.running
    await later.done
    assert worker_pids() == workers
    assert json.loads((tmp_path / "given up.json").read_text())


@pytest_twisted.ensureDeferred
async def test_clients_take_turns_and_the_background_comes_last(desk: Desk) -> None:
    await desk.submit("warm up").done
    with paused(worker_pids()):
        jobs = [
            desk.submit("at work", "a"),
            desk.submit("warming", "a", background=True),
            desk.submit("a1", "a"),
            desk.submit("a2", "a"),
            desk.submit("b1", "b"),
        ]
    for job in jobs:
        await job.done
    assert desk.done == ["warm up", "at work", "a1", "b1", "a2", "warming"]


@pytest_twisted.ensureDeferred
async def test_background_jobs_take_no_places_from_those_who_wait() -> None:
    pool = WorkerPool(workers=1, timeout=30, memory=1 << 30, queue=2)
    try:
        jobs = [pool.submit(ReadMetadata, "", [], True) for _ in range(3)]
        with pytest.raises(Overloaded):
            pool.submit(ReadMetadata, "", [], True)
        jobs += [pool.submit(ReadMetadata, "curator", []) for _ in range(2)]
        for job in jobs:
            with pytest.raises(BrokenImage):
                await job.done
    finally:
        await pool.close()
