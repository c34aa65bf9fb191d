"""The record of quotas: it holds whatever happens at the same time, and whoever is killed over it."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from was_daemon.library.quotas.record import SCHEMA, QuotaRecord, reconciled_size
from was_daemon.model.errors import QuotaExceeded
from was_daemon.stores.local.process_lock import ProcessLock

PLACE = "files in /srv\nFish"
QUOTA = 100
HOUR = 3600.0
LONG_AGO = 0.0


class Process:
    """What one process does to the record in `directory`; each step is a transaction of its own."""

    def __init__(self, directory: Path) -> None:
        self.database = sqlite3.connect(directory / "quotas.sqlite", isolation_level=None)
        self.database.executescript(SCHEMA)
        self.record = QuotaRecord(ProcessLock(directory))

    @property
    def used(self) -> int | None:
        return self.record.used(self.database)[PLACE]

    def reserve(self, upload: str, size: int, quota: int = QUOTA) -> bool:
        return self.record.reserve(self.database, upload, PLACE, quota, size)

    def release(self, upload: str) -> None:
        self.record.release(self.database, upload)

    def claim(self, name: str = "a") -> bool:
        return self.record.claim(self.database, PLACE, name)

    def begin(self, growth: int, quota: int = QUOTA, upload: str = "") -> None:
        assert self.claim()
        self.record.begin(self.database, PLACE, "a", quota, growth, upload)

    def end(self, happened: bool = True) -> None:
        self.record.end(self.database, PLACE, "a", happened)

    def change(self, growth: int, quota: int = QUOTA, upload: str = "") -> None:
        self.begin(growth, quota, upload)
        self.end()

    def begin_count(self, since: float = LONG_AGO) -> bool:
        return self.record.begin_count(self.database, PLACE, since)

    def end_count(self, found: int | None, interval: float = HOUR) -> None:
        self.record.end_count(self.database, PLACE, found, interval)

    def counted(self, found: int, interval: float = HOUR) -> "Process":
        assert self.begin_count()
        self.end_count(found, interval)
        return self

    def close(self) -> None:
        self.record.leave(self.database)
        self.database.close()


class Processes:
    """Processes that share a record."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._all: list[Process] = []

    def another(self) -> Process:
        self._all.append(Process(self.directory))
        return self._all[-1]

    def close(self) -> None:
        for process in self._all:
            process.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    processes.close()


# -- what fits ---------------------------------------------------------------------------------------------------------


def test_what_fits_exactly_has_room_and_one_byte_more_has_none_in_any_process(processes: Processes) -> None:
    one, two = processes.another().counted(40), processes.another()
    for process in (one, two):
        assert not process.reserve("1", 61)
        with pytest.raises(QuotaExceeded, match="does not fit into the collection's quota of 100 bytes"):
            process.begin(61)
        process.end(False)
    assert one.reserve("1", 60)
    assert not two.reserve("2", 1)
    one.change(60, upload="1")
    assert two.used == 100
    two.change(-60)
    assert one.used == 40
    assert two.reserve("2", 60)


def test_an_upload_that_is_refused_is_in_the_way_of_no_other_that_grows(processes: Processes) -> None:
    process = processes.another().counted(0)
    assert process.reserve("1", 60)
    assert process.reserve("2", 40)
    assert not process.reserve("2", 50)
    assert process.reserve("1", 100)


def test_an_upload_of_unknown_size_takes_room_as_it_comes(processes: Processes) -> None:
    process = processes.another().counted(50)
    for size in (0, 20, 50):
        assert process.reserve("1", size)
    assert not process.reserve("1", 51)
    for _ in range(2):
        process.release("1")
    process.reserve("2", 50)


@pytest.mark.parametrize("growth", [-50, 0, -1])
def test_what_makes_a_collection_no_larger_fits_whatever_the_quota_has_become(
    processes: Processes, growth: int
) -> None:
    process = processes.another().counted(90)
    process.change(growth, quota=10)
    assert process.used == 90 + growth
    with pytest.raises(QuotaExceeded):
        process.begin(1, quota=10)


def test_until_the_first_count_everything_has_room_and_is_counted_afterwards(processes: Processes) -> None:
    process = processes.another()
    assert process.begin_count()
    process.reserve("1", 1000)
    assert process.used is None
    process.end_count(90)
    assert not process.reserve("2", 1)
    process.release("1")
    process.reserve("2", 10)


def test_what_failed_changes_nothing(processes: Processes) -> None:
    process = processes.another().counted(50)
    process.begin(20)
    process.end(happened=False)
    assert process.used == 50
    assert processes.another().claim()


def test_one_process_at_a_time_changes_an_original(processes: Processes) -> None:
    one, two = processes.another().counted(0), processes.another()
    one.begin(10)
    assert not two.claim()
    assert two.claim("b")
    two.end()
    assert not two.claim()
    one.end()
    two.change(20)
    assert one.used == 30


# -- killed processes --------------------------------------------------------------------------------------------------


_BE_KILLED = """
import sys
from pathlib import Path
from tests.library.test_quota_record import Process

process = Process(Path(sys.argv[1]))
process.reserve("upload", 20)
process.begin(30)
process.claim("never begun")
print("ready", flush=True)
sys.stdin.read()
"""


def kill_one(processes: Processes) -> None:
    """Kill a process that has reserved 20 bytes for an upload, and is about to make an original 30 bytes larger."""
    command = [sys.executable, "-c", _BE_KILLED, str(processes.directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)


def test_what_a_killed_process_had_reserved_is_free_for_who_would_be_refused(processes: Processes) -> None:
    process = processes.another().counted(40)
    kill_one(processes)
    process.reserve("1", 30)
    # The original that it was about to store may be there.
    assert not process.reserve("2", 1)
    assert [path.name for path in processes.directory.glob("*.lock")] == [f"{process.record.process}.lock"]


def test_the_lock_files_of_killed_processes_go_when_another_begins(processes: Processes) -> None:
    kill_one(processes)
    process = processes.another().counted(0)
    assert [path.name for path in processes.directory.glob("*.lock")] == [f"{process.record.process}.lock"]


@pytest.mark.parametrize("found", [40, 70])
def test_what_a_killed_process_has_changed_is_found_by_the_next_count_which_is_due_at_once(
    processes: Processes, found: int
) -> None:
    process = processes.another().counted(40)
    assert not process.begin_count()
    kill_one(processes)
    process.record.remove_ended_processes(process.database)
    assert process.used == 70
    process.counted(found)
    assert process.used == found
    assert process.claim("never begun")


def test_a_count_under_way_while_a_process_is_killed_does_not_count(processes: Processes) -> None:
    one, two = processes.another().counted(40), processes.another()
    assert one.begin_count(since=HOUR * 10**6)
    kill_one(processes)
    two.change(-10)
    one.end_count(60)
    assert two.used == 60
    assert two.claim("never begun")
    assert two.begin_count()


def test_a_process_that_leaves_has_nothing_left(processes: Processes) -> None:
    one, two = processes.another().counted(40), processes.another()
    two.reserve("1", 60)
    assert two.begin_count(since=HOUR * 10**6)
    two.record.leave(two.database)
    one.reserve("2", 60)
    assert one.begin_count(since=HOUR * 10**6)


# -- counts ------------------------------------------------------------------------------------------------------------


def test_one_process_counts_and_when_it_is_due(processes: Processes) -> None:
    one, two = processes.another(), processes.another()
    assert one.begin_count()
    assert not two.begin_count()
    one.record.drop_count(one.database, PLACE)
    two.counted(40)
    assert not one.begin_count()
    # A process that has just begun does not believe a count of before.
    assert one.begin_count(since=HOUR * 10**6)
    one.end_count(None)
    assert one.used == 40
    assert not two.begin_count()
    two.database.execute("UPDATE collections SET counted = counted - 301")
    assert two.begin_count()


def test_a_count_of_before_the_machine_was_started_anew_does_not_count(processes: Processes) -> None:
    process = processes.another().counted(40)
    process.database.execute("UPDATE collections SET counted = counted + 1000")
    assert process.begin_count()


def test_a_count_among_changes_leaves_what_is_known(processes: Processes) -> None:
    one, two = processes.another().counted(40, interval=0), processes.another()
    assert two.begin_count(since=HOUR * 10**6)
    one.change(20)
    one.begin(10)
    # It has not seen the first.
    two.end_count(40)
    assert one.used == 60
    one.end()
    assert one.used == 70
    two.begin_count(since=HOUR * 10**6)
    two.end_count(90)
    assert one.used == 90


@settings(deadline=None)
@given(
    begin=st.integers(0, 1000),
    seen=st.lists(st.integers(-50, 50), max_size=8),
    unseen=st.lists(st.integers(-50, 50), max_size=8),
    late=st.lists(st.tuples(st.integers(-50, 50), st.booleans()), max_size=4),
)
def test_a_count_does_not_spoil_what_is_known_exactly(
    begin: int, seen: list[int], unseen: list[int], late: list[tuple[int, bool]]
) -> None:
    """`late` are changes that end after the count, each seen by it or not."""
    ended = [*seen, *unseen]
    known = begin + 1000 + sum(ended)
    found = begin + 1000 + sum(seen) + sum(size for size, was_seen in late if was_seen)
    added, removed = sum(size for size in ended if size > 0), sum(size for size in ended if size < 0)
    growing, shrinking = sum(size for size, _ in late if size > 0), sum(size for size, _ in late if size < 0)
    assert reconciled_size(known, found, added, removed, growing, shrinking) == known
