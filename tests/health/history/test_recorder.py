"""What has failed, as the recorder of a process keeps it from one start to the next."""

from pathlib import Path

import pytest_twisted

from was_daemon.health.history.failures import Failures, failures_of
from was_daemon.health.history.recorder import Recorder
from was_daemon.health.history.ring_file import Sample
from was_daemon.telemetry.metrics import Metrics
from was_daemon.telemetry.recent_errors import RecentErrors


class Process:
    """A process of the daemon from its start on: what fails in it, and its recorder, which takes no sample in time."""

    def __init__(self, directory: Path, number: int = 1) -> None:
        self.recent = RecentErrors(Metrics())
        self.recorder = Recorder(directory, number, _sample, lambda: failures_of(self.recent))
        self.recorder.start()

    def fail(self, reason: str) -> None:
        """Have a request fail."""
        self.recent.note_failed_request("fileupload", 503, reason)


async def _sample() -> Sample:
    return {}


def told(failures: Failures) -> dict[str, int]:
    """The reasons of failed requests, and how often each occurred."""
    return {times.text: times.number for _, times in failures.requests}


@pytest_twisted.ensureDeferred
async def test_what_fails_in_the_first_minute_is_kept_at_the_end_and_told_at_once_after_the_start(
    tmp_path: Path,
) -> None:
    first = Process(tmp_path / "console")
    first.fail("the store is down")
    await first.recorder.close()
    second = Process(tmp_path / "console")
    assert told(await second.recorder.failures()) == {"the store is down": 1}
    second.fail("the store is down")
    assert told(await second.recorder.failures()) == {"the store is down": 2}
    await second.recorder.close()
    third = Process(tmp_path / "console")
    assert told(await third.recorder.failures()) == {"the store is down": 2}
    await third.recorder.close()


@pytest_twisted.ensureDeferred
async def test_each_process_keeps_its_own_and_any_tells_of_all(tmp_path: Path) -> None:
    processes = [Process(tmp_path, number) for number in (1, 2)]
    for process, reason in zip(processes, ("one", "two"), strict=True):
        process.fail(reason)
        await process.recorder.close()
    for number in (1, 2):
        process = Process(tmp_path, number)
        assert told(await process.recorder.failures()) == {"one": 1, "two": 1}
        await process.recorder.close()


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_could_not_start_leaves_what_another_keeps(tmp_path: Path) -> None:
    running = Process(tmp_path)
    running.fail("kept")
    await running.recorder.close()
    before = (tmp_path / "console-1.failures").read_text()
    recent = RecentErrors(Metrics())
    recent.note_failed_request("fileget", 500, "the port is in use")
    await Recorder(tmp_path, 1, _sample, lambda: failures_of(recent)).close()
    assert (tmp_path / "console-1.failures").read_text() == before


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_in_the_same_directory_does_not_write_over_what_the_first_keeps(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.fail("first")
    await first.recorder._record()
    second = Process(tmp_path)
    second.fail("second")
    await second.recorder.close()
    assert "second" not in (tmp_path / "console-1.failures").read_text()
    await first.recorder.close()


@pytest_twisted.ensureDeferred
async def test_nothing_is_written_where_nothing_has_failed(tmp_path: Path) -> None:
    process = Process(tmp_path / "console")
    assert told(await process.recorder.failures()) == {}
    await process.recorder.close()
    assert list((tmp_path / "console").iterdir()) == []
