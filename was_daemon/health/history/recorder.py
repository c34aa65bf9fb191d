"""Recording of what a process counts: a sample each minute, in a file of its own; and reading of the files of all."""

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from was_daemon.concurrency.threads import Threads
from was_daemon.health.history.charts import charts_of
from was_daemon.health.history.failures import Failures, merged, parse_failures
from was_daemon.health.history.ring_file import RingFile, Sample, TooLarge, make_private, read_samples
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

    `take` fires with a sample; `failures` returns what has failed since the start. It is written at each sample and at
    the end, with what an earlier process of this number has left.
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
        self._failures_file = directory / f"{self._name}.failures"
        self._take = take
        self._failures = failures
        # One thread: what is read is never half written by this process.
        self._threads = Threads("console history", 1)
        self._repeating = LoopingCall(self._record)
        self._repeating.clock = IReactorTime(reactor)
        self._is_begun = False
        self._file: RingFile | None = None
        self._before: Failures | None = None
        self._written = ""
        self._problem = ""

    def start(self) -> None:
        """Take a sample in a minute, and then each minute: checks at the start would be too early to tell much."""
        self._is_begun = True
        self._repeating.start(_EVERY_SECONDS, now=False)
        # Commands that run in the first minute tell their progress there.
        Deferred.fromCoroutine(self._keep(lambda: self._threads.call(lambda: make_private(self._directory))))

    def stop(self) -> None:
        """Take no more samples."""
        if self._repeating.running:
            self._repeating.stop()

    async def close(self) -> None:
        """Take no more samples, keep what has failed since the last one, and close the file."""
        self.stop()
        if not self._is_begun:
            # Perhaps another daemon runs here, and has the port and the files.
            return
        failures = self._failures()
        Deferred.fromCoroutine(self._keep(lambda: self._threads.call(lambda: self._end(failures))))
        await self._threads.drain(_CLOSE_SECONDS)

    async def charts(self, span: Span) -> list[Chart]:
        """Fire with the charts of all processes over a span."""
        return await self._threads.call(lambda: self._charts(span))

    async def failures(self) -> Failures:
        """Fire with the last failures of all processes, those of others as they were a minute ago at most."""
        now = self._failures()
        return await self._threads.call(lambda: merged([now, self._earlier(), *self._failures_of_others()]))

    async def _record(self) -> None:
        await self._keep(self._sample)

    async def _sample(self) -> None:
        sample, failures = await self._take(), self._failures()
        if self._repeating.running:
            await self._threads.call(lambda: self._write(time.time(), sample, failures))

    async def _keep(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
            self._problem = ""
        except OSError as error:
            # Once, and not each minute.
            if str(error) != self._problem:
                self._log.warn("The history of the console is not kept: {error}", error=error)
            self._problem = str(error)
        except Exception:
            self._log.failure("The history of the console could not be kept")

    # -- what follows is called in the thread --------------------------------------------------------------------------

    def _earlier(self) -> Failures:
        """Return what had failed before the start; it is read before this process writes there."""
        if self._before is None:
            self._before = _read_failures(self._failures_file)
            self._written = merged([self._before]).text()
        return self._before

    def _write(self, moment: float, sample: Sample, failures: Failures) -> None:
        _write_sample(self._open(), moment, sample)
        self._write_failures(failures)

    def _open(self) -> RingFile:
        if not self._file:
            self._file = RingFile(self._directory / f"{self._name}.ring")
        return self._file

    def _write_failures(self, failures: Failures) -> None:
        text = merged([failures, self._earlier()]).text()
        if text == self._written:
            return
        # Its lock keeps another daemon in the same directory from writing.
        self._open()
        draft = self._failures_file.with_suffix(".new")
        draft.write_text(text, "utf-8")
        draft.replace(self._failures_file)
        self._written = text

    def _end(self, failures: Failures) -> None:
        try:
            self._write_failures(failures)
        finally:
            if self._file:
                self._file.close()
                self._file = None

    def _charts(self, span: Span) -> list[Chart]:
        now = time.time()
        processes = [read_samples(path, span.ring, now) for path in self._files(_RING)]
        return charts_of(History(span, processes, now)) if any(processes) else []

    def _failures_of_others(self) -> list[Failures]:
        return [_read_failures(path) for path in self._files(_FAILURES) if path != self._failures_file]

    def _files(self, pattern: re.Pattern[str]) -> list[Path]:
        try:
            return sorted(path for path in self._directory.iterdir() if pattern.fullmatch(path.name))
        except OSError:
            return []


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
