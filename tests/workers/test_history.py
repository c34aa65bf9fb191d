"""An answer does not depend on what its worker did before."""

import hashlib
import random
import resource
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from tests.support import images, tiffs
from tests.support.heif import grid_heic
from tests.support.mutations import SEEDS, mutations
from tests.support.processes import eventually, worker_pids
from tests.support.slow import slow_but
from was_daemon.imaging.formats import output_format
from was_daemon.model.errors import AssetError, BrokenImage
from was_daemon.workers.commands import Render
from was_daemon.workers.heap import address_space
from was_daemon.workers.pool import WorkerPool

pytestmark = pytest.mark.slow

_MEMORY = 512 << 20
_ROOM = 6 << 20
"""Bytes that a worker with little memory left may still take."""

_PATIENCE = 60.0

Pools = Callable[..., WorkerPool]


@pytest_twisted.async_yield_fixture
async def pools() -> AsyncIterator[Pools]:
    """Makes pools of one worker, and ends them when the test is over."""
    made: list[WorkerPool] = []

    def make(memory: int = _MEMORY) -> WorkerPool:
        made.append(WorkerPool(1, 60.0, memory, 10))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()
    await eventually(lambda: not worker_pids())


async def answer(pool: WorkerPool, source: Path, scale: int = 123) -> str:
    """The thumbnail's digest, or why there is none."""
    target = source.with_name("thumbnail")
    format_name = output_format(f"a{source.suffix}")
    with source.open("rb") as original, target.open("w+b") as output:
        order = {"scale": scale, "format": format_name, "owner": source.name}
        job = pool.submit(Render, "a", [original, output], name=source.name, outputs=[order], max_pixels=500_000_000)
        try:
            await job.done
        except AssetError as error:
            return f"{type(error).__name__}: {error}"
    return hashlib.sha256(target.read_bytes()).hexdigest()


async def grow(pool: WorkerPool, directory: Path) -> int:
    """Have the worker read a TIFF, for which it loads a library and keeps it; return the worker's process ID."""
    path = directory / "first.tif"
    path.write_bytes(tiffs.tiff(compression="lzw"))
    await answer(pool, path)
    (worker,) = worker_pids()
    return worker


def leave_little_memory(worker: int) -> None:
    """Limit the worker as if earlier jobs had left it `_ROOM`."""
    limit = (address_space(worker) or 0) + _ROOM
    resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))


LARGE: dict[str, Callable[[Image.Image], bytes]] = {
    "large.bmp": lambda image: images.encode(image, "BMP"),
    "large.png": lambda image: images.encode(image, "PNG"),
    "large.jpg": lambda image: images.encode(image, "JPEG", progressive=True),
    "large.webp": lambda image: images.encode(image, "WEBP", method=0),
    "large.gif": lambda image: images.encode(image, "GIF"),
    "large.avif": lambda image: images.encode(image, "AVIF", speed=10),
    "large.heic": images.heic,
    "large.j2k": lambda image: images.encode(image, "JPEG2000", no_jp2=True, num_resolutions=1),
    "large.psd": images.psd,
    "large.tif": lambda image: images.encode(image, "TIFF", compression="zstd"),
    "large.dng": tiffs.dng,
}


@pytest.mark.parametrize("name", slow_but(["large.heic"], LARGE))
@pytest_twisted.ensureDeferred
async def test_what_a_used_worker_has_no_memory_for_is_shown_by_a_new_one(
    name: str, pools: Pools, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(LARGE[name](images.chart((2400, 1600))))
    first = pools()
    alone = await answer(first, path, 1000)
    assert "BrokenImage" not in alone
    await first.close()
    pool = pools()
    await check_replaced(await grow(pool, tmp_path), pool, path, alone)


async def check_replaced(worker: int, pool: WorkerPool, path: Path, alone: str) -> None:
    """Check that a file for which the worker has too little memory is given to another one."""
    leave_little_memory(worker)
    assert await answer(pool, path, 1000) == alone
    await eventually(lambda: worker not in worker_pids())


@pytest_twisted.ensureDeferred
async def test_what_a_worker_takes_is_known_to_a_daemon_that_hears_late_of_its_start(
    pools: Pools, tmp_path: Path
) -> None:
    from twisted.internet import reactor

    path = tmp_path / "large.heic"
    path.write_bytes(LARGE[path.name](images.chart((2400, 1600))))
    first = pools()
    alone = await answer(first, path, 1000)
    await first.close()
    pool = pools()
    growing = Deferred.fromCoroutine(grow(pool, tmp_path))
    # The job is on its way to the worker, of which the daemon hears nothing until the job is done.
    await deferLater(IReactorTime(reactor), 0.05)
    blocked_until(lambda: (tmp_path / "thumbnail").stat().st_size > 0)
    await check_replaced(await growing, pool, path, alone)


def blocked_until(holds: Callable[[], bool]) -> None:
    """Keep the reactor from running until this holds."""
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_pictures_of_many_threads_leave_their_worker_room(pools: Pools, tmp_path: Path) -> None:
    photograph, large = tmp_path / "photograph.heic", tmp_path / "large.heic"
    photograph.write_bytes(grid_heic(8, 6))
    large.write_bytes(grid_heic(14, 9))
    pool = pools()
    for _ in range(2):
        assert "BrokenImage" not in await answer(pool, photograph)
    (worker,) = worker_pids()
    assert (address_space(worker) or 0) < 256 << 20
    assert "BrokenImage" not in await answer(pool, large)
    assert worker_pids() == {worker}


@pytest_twisted.ensureDeferred
async def test_a_damaged_file_costs_one_more_worker_at_most(pools: Pools, tmp_path: Path) -> None:
    path = tmp_path / "damaged.gif"
    path.write_bytes(images.encode(images.chart(), "GIF")[:200])
    pool = pools()
    refusal = await answer(pool, path)
    assert refusal == "BrokenImage: the GIF data is damaged or ends too early to show anything"
    (worker,) = worker_pids()
    assert await answer(pool, path) == refusal
    assert worker_pids() == {worker}
    await grow(pool, tmp_path)
    assert await answer(pool, path) == refusal
    (second,) = worker_pids()
    assert second != worker
    assert await answer(pool, path) == refusal
    assert worker_pids() == {second}


@pytest_twisted.ensureDeferred
async def test_what_the_header_rules_out_costs_no_worker(pools: Pools, tmp_path: Path) -> None:
    pool = pools()
    worker = await grow(pool, tmp_path)
    for content in (b"no picture", images.png_bomb(), images.jpeg_frame(0xF7)):
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        assert (await answer(pool, path)).startswith(BrokenImage.__name__)
    assert worker_pids() == {worker}


@pytest_twisted.ensureDeferred
async def test_a_worker_that_keeps_much_memory_is_replaced(
    pools: Pools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pools()
    worker = await grow(pool, tmp_path)
    assert await grow(pool, tmp_path) == worker
    monkeypatch.setattr("was_daemon.workers.pool._MAX_GROWTH", 0.01)
    await answer(pool, tmp_path / "first.tif")
    await eventually(lambda: worker not in worker_pids())


def mixed_files(directory: Path, count: int) -> list[Path]:
    """Files of all kinds, whole, damaged and too large for a worker."""
    chance = random.Random(count)
    contents = {f"whole-{name}": make() for name, make in SEEDS.items()}
    noise = Image.effect_noise((3600, 2400), 60).convert("RGB")
    contents |= {
        f"noise-{name}": make(noise) for name, make in LARGE.items() if name not in ("large.heic", "large.dng")
    }
    contents |= {f"grid-{side}.heic": grid_heic(side, side) for side in (2, 6, 8, 11, 20)}
    contents |= dict(mutations(1, count - len(contents)))
    paths = []
    for name, content in contents.items():
        paths.append(directory / name)
        paths[-1].write_bytes(content)
    chance.shuffle(paths)
    return paths


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_mixed_files_give_the_same_answers_in_any_order(pools: Pools, tmp_path: Path) -> None:
    paths = mixed_files(tmp_path, 200)
    seen: list[dict[str, str]] = []
    for order in (paths, random.Random(3).sample(paths, len(paths))):
        pool = pools()
        seen.append({path.name: await answer(pool, path) for path in order})
        await pool.close()
    refused = [name for name, found in seen[0].items() if "BrokenImage" in found]
    assert 10 < len(refused) < 150
    assert any("needs more memory" in found for found in seen[0].values())
    for other in seen[1:]:
        assert {name: found for name, found in other.items() if found != seen[0][name]} == {}
