"""The worker processes and the queue in front of them.

The queue is bounded, takes turns between clients, serves background work last, and a job can be withdrawn from it.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from was_daemon.model.errors import AssetError, BrokenImage, NoSpace, NoThumbnail, Overloaded, StoreUnavailable
from was_daemon.telemetry.metrics import Metrics
from was_daemon.workers.commands import ReadMetadata, Render
from was_daemon.workers.process import WorkerCannotStart, WorkerDied, WorkerProcess, WorkerTookTooLong

_IDLE_SECONDS = 60
_RECYCLE_AFTER = 1000
_ATTEMPTS = 2
"""How many workers may die of a file before it is to blame: something else may have killed the first."""

_TROUBLE_SECONDS = 60.0
"""For how long a worker that could not be started counts as trouble, if none could be started since."""

_JOBS: dict[type[amp.Command], str] = {Render: "thumbnail", ReadMetadata: "metadata"}
_OUTCOMES: dict[type[BaseException], str] = {
    NoThumbnail: "no_image",
    BrokenImage: "broken",
    NoSpace: "no_space",
    StoreUnavailable: "unavailable",
}
"""What the metrics call jobs, and what became of them."""

_MOST_LOST = 4
"""For each worker, how many that cannot be killed are replaced."""


class IsOpen(Protocol):
    """A file, as `submit` wants it."""

    def fileno(self) -> int:
        """Its descriptor."""


@attrs.define(eq=False)
class Job:
    """One call of a worker. `done` fires with its answer, or with what went wrong."""

    command: type[amp.Command]
    files: Sequence[IsOpen]
    arguments: dict[str, Any]
    client: str
    background: bool
    done: Deferred[dict[str, Any]] = attrs.field(factory=Deferred)
    running: bool = False

    @property
    def name(self) -> str:
        """What the metrics call it."""
        return _JOBS.get(self.command, "other")


class FairQueue:
    """Jobs that wait: clients take turns, each with its own jobs in order; background jobs come after all others."""

    def __init__(self) -> None:
        self._lanes: tuple[dict[str, deque[Job]], dict[str, deque[Job]]] = ({}, {})
        self._waiting = [0, 0]

    def __len__(self) -> int:
        return sum(self._waiting)

    def waiting(self, background: bool) -> int:
        """How many jobs wait, in the background or not."""
        return self._waiting[background]

    def push(self, job: Job) -> None:
        """Put `job` behind the others of its client."""
        self._lanes[job.background].setdefault(job.client, deque()).append(job)
        self._waiting[job.background] += 1

    def pop(self) -> Job:
        """Take the job whose turn it is; raises IndexError when there is none."""
        for lanes in self._lanes:
            for client in lanes:
                waiting = lanes.pop(client)
                job = waiting.popleft()
                if waiting:
                    lanes[client] = waiting
                self._waiting[job.background] -= 1
                return job
        raise IndexError("no job is waiting")

    def remove(self, job: Job) -> None:
        """Take `job` out of its turn; raises ValueError when it does not wait."""
        lanes = self._lanes[job.background]
        waiting = lanes.get(job.client, deque())
        waiting.remove(job)
        if not waiting:
            del lanes[job.client]
        self._waiting[job.background] -= 1


class WorkerPool:
    """Runs jobs in at most `workers` processes.

    A job is killed after `timeout` seconds of running; a worker has `memory` bytes of address space; `queue` jobs wait
    at most, and as many in the background.
    """

    _log = Logger()

    def __init__(self, workers: int, timeout: float, memory: int, queue: int, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._workers = workers
        self._timeout = timeout
        self._memory = memory
        self._limit = queue
        self._queue = FairQueue()
        self._running = 0
        self._living: set[WorkerProcess] = set()
        self._idle: dict[WorkerProcess, IDelayedCall] = {}
        self._lost: set[WorkerProcess] = set()
        self._closed = False
        self._emptied: Deferred[None] = Deferred()
        self._could_not_start: float | None = None

    @property
    def running(self) -> int:
        """How many jobs workers are at."""
        return self._running

    @property
    def idle(self) -> int:
        """How many workers have nothing to do."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """How many workers have something to do."""
        return len(self._living) - len(self._idle)

    @property
    def lost(self) -> int:
        """How many workers hang and cannot be killed."""
        return len(self._lost)

    def waiting(self, background: bool) -> int:
        """How many jobs wait, in the background or not."""
        return self._queue.waiting(background)

    def trouble(self) -> str | None:
        """Why no jobs are done at the moment; None if they are, or would be: workers start when they are needed."""
        if self._all_hang():
            return "all hang"
        failed = self._could_not_start
        if failed is not None and _clock().seconds() < failed + _TROUBLE_SECONDS:
            return "they cannot be started"
        return None

    def _all_hang(self) -> bool:
        return len(self._lost) >= _MOST_LOST * self._workers

    def submit(
        self,
        command: type[amp.Command],
        client: str,
        files: Sequence[IsOpen],
        background: bool = False,
        **arguments: Any,
    ) -> Job:
        """Queue a job; raises `Overloaded` when too many wait.

        `client` is whoever takes turns with others; `files` are those that the command names, and stay open until the
        job is done. The job's `done` fails with `NoThumbnail`, `BrokenImage` (this includes two workers that died, and
        one that took too long), `NoSpace` or `StoreUnavailable` (workers cannot be started); cancelling it withdraws
        the job while it waits.
        """
        if self._queue.waiting(background) >= self._limit:
            self._metrics.jobs.labels(_JOBS.get(command, "other"), "overloaded").inc()
            raise Overloaded("too many thumbnails are being made")
        job = Job(command, files, arguments, client, background)
        job.done = Deferred(lambda _: self._withdraw(job))
        self._queue.push(job)
        self._next()
        return job

    def promote(self, job: Job, client: str) -> None:
        """Let a job that waits in the background take its turn among those of `client`."""
        if job.background and not job.running:
            self._queue.remove(job)
            job.background, job.client = False, client
            self._queue.push(job)

    def _withdraw(self, job: Job) -> None:
        if not job.running:
            self._queue.remove(job)

    def _next(self) -> None:
        if self._running >= self._workers or not self._queue:
            return
        job = self._queue.pop()
        job.running = True
        self._running += 1
        Deferred.fromCoroutine(self._run(job)).addBoth(self._finish, job)

    def _finish(self, outcome: Any, job: Job) -> None:
        self._running -= 1
        error = outcome.type if isinstance(outcome, Failure) else None
        self._metrics.jobs.labels(job.name, _OUTCOMES.get(error, "failed") if error else "done").inc()
        if not job.done.called:
            job.done.callback(outcome)
        # Not at once: a thousand jobs that fail one after another must not pile up on the stack.
        _clock().callLater(0, self._next)

    async def _run(self, job: Job) -> dict[str, Any]:
        try:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return await self._work(job)
                except WorkerDied:
                    continue
            return await self._work(job)
        except AssetError:
            raise
        except Exception as error:
            raise self._explained(error) from error

    async def _work(self, job: Job) -> dict[str, Any]:
        worker = self._take()
        begin = _clock().seconds()
        try:
            files = [file.fileno() for file in job.files]
            answer = await worker.call(job.command, files, self._timeout, **job.arguments)
            self._could_not_start = None
            return answer
        finally:
            self._metrics.job_seconds.labels(job.name).observe(_clock().seconds() - begin)
            self._put_back(worker)

    def _take(self) -> WorkerProcess:
        """A worker that has nothing to do: the one that was busy last, so that others retire."""
        if self._closed:
            raise StoreUnavailable("the daemon is about to end")
        if self._idle:
            worker, retirement = self._idle.popitem()
            retirement.cancel()
            return worker
        if self._all_hang():
            raise StoreUnavailable("the disk hangs, and all workers with it")
        worker = WorkerProcess(self._memory, self._forget)
        self._living.add(worker)
        return worker

    def _put_back(self, worker: WorkerProcess) -> None:
        if self._closed or worker.calls >= _RECYCLE_AFTER:
            worker.end()
        elif worker.is_usable:
            self._idle[worker] = _clock().callLater(_IDLE_SECONDS, self._retire, worker)

    def _retire(self, worker: WorkerProcess) -> None:
        retirement = self._idle.pop(worker)
        if retirement.active():
            retirement.cancel()
        worker.end()

    def _forget(self, worker: WorkerProcess) -> None:
        """A worker has ended, or cannot be killed and is taken for lost until it has ended."""
        self._living.discard(worker)
        (self._lost.discard if worker.has_ended else self._lost.add)(worker)
        if worker in self._idle:
            self._idle.pop(worker).cancel()
        if self._closed and not self._living and not self._emptied.called:
            self._emptied.callback(None)

    def _explained(self, error: Exception) -> AssetError:
        """The daemon's error for what a worker or its process said."""
        if isinstance(error, WorkerTookTooLong):
            return BrokenImage(f"reading the file takes more time than the limit of {self._timeout:g} s")
        if isinstance(error, WorkerDied):
            return BrokenImage("reading the file ended the process that tried it")
        if isinstance(error, WorkerCannotStart | OSError):
            self._log.error("A worker process could not be used: {error!r}", error=error)
            self._could_not_start = _clock().seconds()
            return StoreUnavailable("the workers cannot be started")
        self._log.warn("A worker could not read a file: {error}", error=error)
        return BrokenImage("the file cannot be read")

    async def close(self) -> None:
        """End the processes, those at work when their job is done."""
        self._closed = True
        for worker in list(self._idle):
            self._retire(worker)
        if self._living:
            await self._emptied


def _clock() -> IReactorTime:
    from twisted.internet import reactor

    return IReactorTime(reactor)
