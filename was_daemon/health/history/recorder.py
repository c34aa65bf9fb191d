"""Recording of what a process counts: a sample each minute, in a file of its own; and reading of the files of all."""

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from was_daemon.concurrency.threads import Threads
from was_daemon.health.history.charts import charts_of
from was_daemon.health.history.failures import Failures, merged, parse_failures
from was_daemon.health.history.ring_file import RingFile, Sample, TooLarge, read_samples
from was_daemon.health.history.samples import MOST_NAMES, without_names
from was_daemon.health.history.series import Chart, History, Span

T = TypeVar("T")

_EVERY_SECONDS = 60.0
_CLOSE_SECONDS = 2.0
_RING = re.compile(r"console-[0-9]+\.ring")
_FAILURES = re.compile(r"console-[0-9]+\.failures")
"""Names of the files in the directory, of which each process has one of both kinds."""


class Recorder:
    """Records the history of the process `number` in `directory`, from `start` to `close`, in a thread.

    `take` fires with a sample; `failures` returns what has failed since the start.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        number: int,
        take: Callable[[], Awaitable[Sample]],
        failures: Callable[[], Failures],
    ) -> None:
        from twisted.internet import reactor

        self._directory = directory
        self._name = f"console-{number}"
        self._take = take
        self._failures = failures
        # One thread: what is read is never half written by this process.
        self._threads = Threads("console history", 1)
        self._repeating = LoopingCall(self._record)
        self._repeating.clock = IReactorTime(reactor)
        self._file: RingFile | None = None
        self._before = Failures()
        self._written = ""
        self._problem = ""

    def start(self) -> None:
        """Take a sample in a minute, and then each minute: checks at the start would be too early to tell much."""
        self._repeating.start(_EVERY_SECONDS, now=False)

    async def close(self) -> None:
        """Take no more samples, and close the file."""
        if self._repeating.running:
            self._repeating.stop()
        self._threads.call(self._close)
        await self._threads.drain(_CLOSE_SECONDS)

    async def charts(self, span: Span) -> list[Chart]:
        """Fire with the charts of all processes over a span."""
        return await self._threads.call(lambda: self._charts(span))

    async def failures(self) -> Failures:
        """Fire with the last failures of all processes, those of others as they were a minute ago at most."""
        now = self._failures()
        return await self._threads.call(lambda: merged([now, self._before, *self._failures_of_others()]))

    async def _record(self) -> None:
        try:
            sample, failures = await self._take(), self._failures()
            await self._threads.call(lambda: self._write(time.time(), sample, failures))
            self._problem = ""
        except OSError as error:
            # Once, and not each minute.
            if str(error) != self._problem:
                self._log.warn("The history of the console is not kept: {error}", error=error)
            self._problem = str(error)
        except Exception:
            self._log.failure("The history of the console could not be kept")

    # -- what follows is called in the thread --------------------------------------------------------------------------

    def _write(self, moment: float, sample: Sample, failures: Failures) -> None:
        if not self._file:
            self._file = RingFile(self._directory / f"{self._name}.ring")
            self._before = _read_failures(self._directory / f"{self._name}.failures")
        _write_sample(self._file, moment, sample)
        text = merged([failures, self._before]).text()
        if text != self._written:
            path = self._directory / f"{self._name}.failures"
            draft = path.with_suffix(".new")
            draft.write_text(text, "utf-8")
            draft.replace(path)
            self._written = text

    def _charts(self, span: Span) -> list[Chart]:
        now = time.time()
        processes = [read_samples(path, span.ring, now) for path in self._files(_RING)]
        return charts_of(History(span, processes, now)) if any(processes) else []

    def _failures_of_others(self) -> list[Failures]:
        own = f"{self._name}.failures"
        return [_read_failures(path) for path in self._files(_FAILURES) if path.name != own]

    def _files(self, pattern: re.Pattern[str]) -> list[Path]:
        try:
            return sorted(path for path in self._directory.iterdir() if pattern.fullmatch(path.name))
        except OSError:
            return []

    def _close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


def _write_sample(file: RingFile, moment: float, sample: Sample) -> None:
    """Write a sample, with as many names of stores and collections as its slot has room for."""
    names = MOST_NAMES
    while True:
        try:
            file.write(moment, without_names(sample, names))
            return
        except TooLarge:
            if not names:
                raise
            names //= 2


def _read_failures(path: Path) -> Failures:
    try:
        return parse_failures(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return Failures()
