"""What goes through all assets takes no more memory for more of them."""

import json
import os
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from storage_plugins.filesystem import FilesystemStore
from tests.support.peaks import Measured, measured, numbered_config
from tests.support.slow import slow_after
from was_daemon.derivatives import eviction
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.thumbnail_files import scales_in
from was_daemon.derivatives.thumbnails import EvictableThumbnails
from was_daemon.jobs.traverse import count_items
from was_daemon.library.collections import Collections, Place
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.marks import MARK_SIZE, mark_of

pytestmark = pytest.mark.slow

FEW, MANY = 3_000, 20_000
ROOM = 4 << 20
"""Bytes: less than is needed for what lists of the others would hold."""

FILES = 3_000

COMMANDS = {
    "prune": ("thumbnails", "prune", "--dry-run"),
    "copy to an empty store": ("copy", "--dry-run", "--from", "main", "--to", "empty"),
    "copy to a copy": ("copy", "--dry-run", "--thumbnails", "--from", "main", "--to", "same"),
    "verify": ("verify", "--store", "main"),
    "status": ("status", "--count"),
}


def run(directory: Path, command: tuple[str, ...], count: int) -> Measured:
    """Run a command in front of a store with so many originals."""
    directory.mkdir()
    config = numbered_config(directory, count)
    return measured(*command, "--config", config, "--json", timeout=1000)


def check(directory: Path, name: str, few: int, many: int) -> None:
    peaks = []
    for count in (few, many):
        ran = run(directory / str(count), COMMANDS[name], count)
        figures = [value for value in json.loads(ran.out).values() if isinstance(value, int)]
        assert sum(figures) >= count or name == "status", ran
        peaks.append(ran.peak)
    assert peaks[1] < peaks[0] + ROOM, peaks


def test_a_command_takes_no_more_memory_for_more_assets(tmp_path: Path) -> None:
    check(tmp_path, "prune", FEW, MANY)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_no_more_memory_for_a_hundred_thousand_assets(tmp_path: Path, name: str) -> None:
    check(tmp_path, name, 10_000, 100_000)


@pytest.fixture(params=slow_after(1, Layout))
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FilesystemStore]:
    """A directory with many files."""
    for kind in Kind:
        for number in range(100):
            path = tmp_path / request.param.path(AssetKey("", kind, f"{number:04}"))
            path.parent.mkdir(parents=True, exist_ok=True)
            for each in range(FILES // 100):
                os.close(os.open(f"{path}-{each}_1.jpg", os.O_CREAT | os.O_WRONLY))
    store = FilesystemStore(tmp_path, request.param)
    yield store
    pytest_twisted.blockon(Deferred.fromCoroutine(store.close()))


def evictor_of(store: FilesystemStore, max_size: int) -> Evictor:
    return Evictor(Collections(Place("", store, store)), max_size, EvictableThumbnails())


async def peak(work: Callable[[], Awaitable[object]]) -> int:
    """The bytes of memory that Python takes for some work, at the most."""
    peaks = []
    # The least of several: Python's table of interned strings grows now and then, and no name stays in it.
    for _ in range(3):
        tracemalloc.start()
        try:
            await work()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)


@pytest_twisted.ensureDeferred
async def test_a_directory_is_gone_through_without_holding_its_names(full: FilesystemStore) -> None:
    names = FILES * 60
    assert await peak(lambda: full.clean([""])) < names
    assert await peak(lambda: full.in_thread(None, scales_in, full, "")) < names
    assert await peak(lambda: count_items(full.list("", Kind.ORIGINAL))) < names
    assert await peak(evictor_of(full, 1 << 30).start) < names


@pytest_twisted.ensureDeferred
async def test_thumbnails_are_evicted_some_at_a_time(full: FilesystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, "_MOST_CHOSEN", 100)
    thumbnails = [path for path in (full.root / "thumbnails").rglob("*") if path.is_file()]
    for number, path in enumerate(thumbnails):
        path.write_bytes(mark_of(AssetStat(1, 1.0, "any")))
        os.utime(path, (number, number))
    evictor = evictor_of(full, FILES * MARK_SIZE // 10)
    assert next(used for used, _, _ in evictor._oldest(full, set(), FILES * MARK_SIZE)) == -99
    await evictor.start()
    left = [path.stat().st_atime for path in thumbnails if path.exists()]
    assert (len(left), min(left)) == (FILES * 9 // 100, FILES * 91 // 100)
