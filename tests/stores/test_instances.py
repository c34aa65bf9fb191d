"""Which unfinished uploads are over is known from locked files, and from nothing else."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_twisted

from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.instances import StoreInstance

DAY = 24 * 3600

MakeInstance = Callable[..., StoreInstance]


@pytest_twisted.async_yield_fixture
async def make() -> AsyncIterator[MakeInstance]:
    """Makes instances, which end with the test."""
    made: list[StoreInstance] = []

    def make(store: str = "store") -> StoreInstance:
        made.append(StoreInstance(store))
        return made[-1]

    yield make
    for each in made:
        await each.close()


class Places:
    """Remembers where it was asked to sweep."""

    def __init__(self) -> None:
        self.swept: list[str] = []

    async def sweep(self, place: str) -> int:
        self.swept.append(place)
        return 1


@pytest_twisted.ensureDeferred
async def test_the_uploads_of_an_ended_instance_are_over_and_its_places_are_swept_once(
    make: MakeInstance, tmp_path: Path
) -> None:
    before = make()
    await before.begin("first")
    await before.register(tmp_path)
    await before.begin("second Käfer")
    name = before.new_name()
    await before.close()
    after, third, places = make(), make(), Places()
    await after.register(tmp_path)
    await third.register(tmp_path)
    assert after.is_abandoned(name, None)
    assert not third.is_abandoned(name, None)
    assert await after.clean(places.sweep) == 2
    assert places.swept == ["first", "second Käfer"]
    assert await after.clean(places.sweep) == 0
    assert after.is_abandoned(name, None)


@pytest_twisted.ensureDeferred
async def test_the_uploads_of_a_live_instance_are_over_when_they_are_a_day_old(
    make: MakeInstance, tmp_path: Path
) -> None:
    here, there, elsewhere = make(), make(), make()
    await here.register(tmp_path)
    await there.register(tmp_path)
    for name in (here.new_name(), there.new_name(), elsewhere.new_name()):
        assert not here.is_abandoned(name, None)
        assert not here.is_abandoned(name, DAY - 1)
        assert here.is_abandoned(name, DAY + 1)
    assert await here.clean(Places().sweep) == 0


@pytest_twisted.ensureDeferred
async def test_an_instance_of_another_store_is_none_of_its_business(make: MakeInstance, tmp_path: Path) -> None:
    other, here = make("another store"), make()
    await other.register(tmp_path)
    name = other.new_name()
    await other.close()
    await here.register(tmp_path)
    assert not here.is_abandoned(name, None)


def files(spool: Path) -> list[Path]:
    """The files of instances, and what lies beside them."""
    return list(spool.glob("*/*"))


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    """Another process has the lock of a file, until it is killed."""
    lock = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print(); sys.stdin.read()"
    command = [sys.executable, "-uc", lock, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield
        process.kill()


@pytest_twisted.ensureDeferred
async def test_the_process_is_what_the_lock_belongs_to(make: MakeInstance, tmp_path: Path) -> None:
    before = make()
    await before.register(tmp_path)
    (file,) = files(tmp_path)
    await before.close()
    with locked_by_another_process(file):
        while_alive = make()
        await while_alive.register(tmp_path)
    afterwards = make()
    await afterwards.register(tmp_path)
    assert not while_alive.is_abandoned(before.new_name(), None)
    assert afterwards.is_abandoned(before.new_name(), None)


@pytest_twisted.ensureDeferred
async def test_what_could_not_be_swept_waits_for_the_next_time(make: MakeInstance, tmp_path: Path) -> None:
    async def fail(_place: str) -> int:
        raise StoreUnavailable("down")

    before = make()
    await before.register(tmp_path)
    await before.begin("place")
    await before.close()
    after, places = make(), Places()
    await after.register(tmp_path)
    with pytest.raises(StoreUnavailable):
        await after.clean(fail)
    assert after.has_ended_instances
    await after.close()
    again = make()
    await again.register(tmp_path)
    assert await again.clean(places.sweep) == 1
    assert places.swept == ["place"]
    assert not again.has_ended_instances


@pytest.mark.parametrize("name", ["notes.txt", "0" * 32, "was-", f"was-{'0' * 32}", f"was-{'0' * 32}-{'g' * 32}"])
def test_what_is_called_otherwise_is_never_over(make: MakeInstance, name: str) -> None:
    assert not make().is_abandoned(name, 100 * DAY)


def test_what_was_added_to_a_name_is_part_of_it(make: MakeInstance) -> None:
    here = make()
    name = here.new_name()
    assert not here.is_abandoned(f"{name}.upload", 2 * DAY)
    assert not here.is_abandoned(f"x{name}.upload", 2 * DAY, r"\.upload")
    assert here.is_abandoned(f"{name}.upload", 2 * DAY, r"\.upload")


@pytest_twisted.ensureDeferred
async def test_foreign_files_beside_the_instances_stay(make: MakeInstance, tmp_path: Path) -> None:
    before = make()
    await before.register(tmp_path)
    await before.close()
    directory = files(tmp_path)[0].parent
    (directory / "notes.txt").write_text("somebody's")
    (directory / ("1" * 32)).symlink_to(directory / "notes.txt")
    (directory / ("2" * 32)).mkdir()
    (directory / f"{'3' * 32}.new").write_text("killed before it had its name")
    here = make()
    await here.register(tmp_path)
    await here.clean(Places().sweep)
    left = {path.name for path in files(tmp_path)}
    assert left >= {"notes.txt", "1" * 32, "2" * 32}
    assert len(left) == 4
    assert (directory / "notes.txt").read_text() == "somebody's"


@pytest_twisted.ensureDeferred
async def test_without_locks_nothing_is_over_before_its_time(
    make: MakeInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    before = make()
    await before.register(tmp_path)
    name = before.new_name()
    await before.close()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    here = make()
    await here.register(tmp_path)
    assert not here.is_abandoned(name, None)
    assert len(files(tmp_path)) == 1
