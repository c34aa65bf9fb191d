"""Pool of worker processes, and the bounded queue in front of them."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from was_daemon.concurrency.waiting import Waiters
from was_daemon.model.errors import (
    AssetError,
    BrokenImage,
    DamagedDerivative,
    Interrupted,
    NoSpace,
    NoThumbnail,
    Overloaded,
    StoreUnavailable,
    UnreadableImage,
)
from was_daemon.telemetry.metrics import Metrics
from was_daemon.workers.commands import METRIC_NAMES, OF_OWN_FILES
from was_daemon.workers.fair_queue import FairQueue, Job, OpenFile
from was_daemon.workers.process import WorkerCannotStart, WorkerDied, WorkerKilled, WorkerProcess, WorkerTookTooLong

_IDLE_SECONDS = 60
"""Time without a job after which a worker is ended."""

_MAX_CALLS = 1000
"""Jobs after which a worker is replaced."""

_MAX_DEATHS = 2
"""Workers that may die of a file before the file is refused: something else may have killed the first."""

_LEAST_GROWTH = 4 << 20
"""Address space in bytes that a worker must have taken before a job, so that a new worker is asked when the job fails.

Less makes no difference to any picture.
"""

_MAX_GROWTH = 1 / 4
"""Part of a worker's memory that it may keep at rest beyond what it had at first. All libraries take a tenth of it."""

_START_FAILURE_SECONDS = 60.0
"""Time for which a worker that could not be started is reported, unless another was started since."""

_METRIC_OUTCOMES: dict[type[BaseException], str] = {
    NoThumbnail: "no_image",
    BrokenImage: "broken",
    DamagedDerivative: "broken",
    NoSpace: "no_space",
    StoreUnavailable: "unavailable",
    Interrupted: "interrupted",
}
"""Values of the label `outcome` in the metrics of jobs, by the error that a job failed with."""

_MAX_UNKILLABLE = 4
"""Workers that hang and cannot be killed, in multiples of the number of workers, before no more are started."""


class WorkerPool:
    """Pool of at most `workers` processes, and the queue of jobs for them.

    A job is killed after `timeout` seconds of running. Each worker has `memory` bytes of address space. At most `queue`
    jobs wait, and as many more in the background.
    """

    _log = Logger()

    def __init__(self, workers: int, timeout: float, memory: int, queue: int, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._max_workers = workers
        self._timeout = timeout
        self._memory = memory
        self._max_waiting = queue
        self._queue = FairQueue()
        self._running = 0
        self._living: set[WorkerProcess] = set()
        self._idle: dict[WorkerProcess, IDelayedCall] = {}
        self._unkillable: set[WorkerProcess] = set()
        self._closed = False
        self._all_ended = Waiters()
        self._start_failed_at: float | None = None

    @property
    def running(self) -> int:
        """Number of jobs that run."""
        return self._running

    @property
    def idle(self) -> int:
        """Number of workers without a job."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """Number of workers with a job."""
        return len(self._living) - len(self._idle)

    @property
    def lost(self) -> int:
        """Number of workers that hang and cannot be killed."""
        return len(self._unkillable)

    def waiting(self, background: bool) -> int:
        """Return the number of waiting jobs, of those in the background or of all others."""
        return self._queue.waiting(background)

    def problem(self) -> str | None:
        """Return why no jobs can be done at the moment, or None. Workers are only started when they are needed."""
        if self._all_hang():
            return "all hang"
        failed = self._start_failed_at
        if failed is not None and _clock().seconds() < failed + _START_FAILURE_SECONDS:
            return "they cannot be started"
        return None

    def _all_hang(self) -> bool:
        return len(self._unkillable) >= _MAX_UNKILLABLE * self._max_workers

    def submit(
        self,
        command: type[amp.Command],
        client: str,
        files: Sequence[OpenFile],
        background: bool = False,
        **arguments: Any,
    ) -> Job:
        """Queue a job and return it; raise `Overloaded` when too many wait.

        Clients take turns; `client` is the one that this job belongs to. The caller keeps `files`, which the command
        names, open until the job is done. The job's `done` fails with `NoThumbnail`, `BrokenImage` (also when two
        workers died of the file, and when one took too long), `Interrupted` (somebody else has killed two workers, or
        the file is the daemon's own), `NoSpace` or `StoreUnavailable` (no worker can be started). Cancelling `done`
        withdraws a job that waits; one that runs is not stopped.
        """
        if self._queue.waiting(background) >= self._max_waiting:
            self._metrics.jobs.labels(METRIC_NAMES.get(command, "other"), "overloaded").inc()
            raise Overloaded("too many thumbnails are being made")
        job = Job(command, files, arguments, client, background)
        job.done = Deferred(lambda _: self._withdraw(job))
        self._queue.push(job)
        self._start_next()
        return job

    def promote(self, job: Job, client: str) -> None:
        """Move a job that waits in the background to the jobs of `client`."""
        if job.background and not job.running:
            self._queue.remove(job)
            job.background, job.client = False, client
            self._queue.push(job)

    def _withdraw(self, job: Job) -> None:
        if not job.running:
            self._queue.remove(job)

    def _start_next(self) -> None:
        if self._running >= self._max_workers or not self._queue:
            return
        job = self._queue.pop()
        job.running = True
        self._running += 1
        Deferred.fromCoroutine(self._run(job)).addBoth(self._finish, job)

    def _finish(self, outcome: Any, job: Job) -> None:
        self._running -= 1
        error = outcome.type if isinstance(outcome, Failure) else None
        self._metrics.jobs.labels(job.metric_name, _METRIC_OUTCOMES.get(error, "failed") if error else "done").inc()
        if not job.done.called:
            job.done.callback(outcome)
        # In a later turn of the reactor: jobs that fail at once would each start the next on a growing stack.
        _clock().callLater(0, self._start_next)

    async def _run(self, job: Job) -> dict[str, Any]:
        try:
            return await self._attempt_until_certain(job)
        except UnreadableImage as error:
            raise BrokenImage(str(error)) from None
        except AssetError:
            raise
        except Exception as error:
            raise self._to_asset_error(error, job.command) from error

    async def _attempt_until_certain(self, job: Job) -> dict[str, Any]:
        """Give `job` to one worker after another until its outcome does not depend on earlier jobs."""
        worker = self._acquire()
        deaths = 0
        while True:
            has_grown = worker.growth > _LEAST_GROWTH
            try:
                return await self._attempt(job, worker)
            except WorkerDied:
                deaths += 1
                if deaths == _MAX_DEATHS:
                    raise
            except Exception as error:
                if not (has_grown and _may_want_memory(error)):
                    raise
                if worker in self._idle:
                    self._retire(worker)
            worker = self._start()

    async def _attempt(self, job: Job, worker: WorkerProcess) -> dict[str, Any]:
        begin = _clock().seconds()
        try:
            files = [file.fileno() for file in job.files]
            answer = await worker.call(job.command, files, self._timeout, **job.arguments)
            self._start_failed_at = None
            return answer
        finally:
            self._metrics.job_seconds.labels(job.metric_name).observe(_clock().seconds() - begin)
            self._release(worker)

    def _acquire(self) -> WorkerProcess:
        """Return the worker that became idle last, so that others reach the end of their idle time; or start one."""
        if self._closed or not self._idle:
            return self._start()
        worker, retirement = self._idle.popitem()
        retirement.cancel()
        return worker

    def _start(self) -> WorkerProcess:
        if self._closed:
            raise StoreUnavailable("the daemon is about to end")
        if self._all_hang():
            raise StoreUnavailable("the disk hangs, and all workers with it")
        worker = WorkerProcess(self._memory, self._forget)
        self._living.add(worker)
        return worker

    def _release(self, worker: WorkerProcess) -> None:
        if self._closed or worker.calls >= _MAX_CALLS or worker.growth > _MAX_GROWTH * self._memory:
            worker.end()
        elif worker.is_usable:
            self._idle[worker] = _clock().callLater(_IDLE_SECONDS, self._retire, worker)

    def _retire(self, worker: WorkerProcess) -> None:
        retirement = self._idle.pop(worker)
        if retirement.active():
            retirement.cancel()
        worker.end()

    def _forget(self, worker: WorkerProcess) -> None:
        """Remove `worker`, which has ended; count it as unkillable if it has only been killed."""
        self._living.discard(worker)
        (self._unkillable.discard if worker.has_ended else self._unkillable.add)(worker)
        if worker in self._idle:
            self._idle.pop(worker).cancel()
        if not self._living:
            self._all_ended.release()

    def _to_asset_error(self, error: Exception, command: type[amp.Command]) -> AssetError:
        """Return the error for clients that corresponds to what went wrong with a worker."""
        is_own = command in OF_OWN_FILES and isinstance(error, WorkerDied | WorkerTookTooLong)
        if is_own or isinstance(error, WorkerKilled):
            return Interrupted("the processes that tried to read the file were ended; try again later")
        if isinstance(error, WorkerTookTooLong):
            return BrokenImage(f"reading the file takes more time than the limit of {self._timeout:g} s")
        if isinstance(error, WorkerDied):
            return BrokenImage("reading the file ended the process that tried it")
        if isinstance(error, WorkerCannotStart | OSError):
            self._log.error("A worker process could not be used: {error!r}", error=error)
            self._start_failed_at = _clock().seconds()
            return StoreUnavailable("the workers cannot be started")
        self._log.warn("A worker could not read a file: {error}", error=error)
        return BrokenImage("the file cannot be read")

    async def close(self) -> None:
        """End all workers, busy ones when their job is done; fire when all have ended."""
        self._closed = True
        for worker in list(self._idle):
            self._retire(worker)
        if self._living:
            await self._all_ended.add()


def _may_want_memory(error: Exception) -> bool:
    """Return whether a job may have failed because the worker had too little memory left.

    A plain `Exception` is an error that the command does not declare.
    """
    return isinstance(error, UnreadableImage) or type(error) is Exception


def _clock() -> IReactorTime:
    from twisted.internet import reactor

    return IReactorTime(reactor)
