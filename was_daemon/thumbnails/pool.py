"""The worker processes and the queue in front of them.

ampoule starts the processes, talks to them and retires idle ones. The queue is ours: it is bounded, takes turns
between clients, serves background work last, and a job can be withdrawn from it.
"""

import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import attrs
from ampoule.main import AMPConnector, ProcessStarter
from ampoule.pool import ProcessPool
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.logger import Logger
from twisted.protocols import amp

from was_daemon.errors import AssetError, BrokenImage, NoSpace, NoThumbnail, Overloaded, StoreUnavailable
from was_daemon.thumbnails import failures

_IDLE_SECONDS = 60
_RECYCLE_AFTER = 1000
_LOGGED_LINES = 10


@attrs.define(eq=False)
class Job:
    """One call of a worker. `done` fires with its answer, or with what went wrong."""

    command: type[amp.Command]
    arguments: dict[str, Any]
    client: str
    background: bool
    done: Deferred[dict[str, Any]] = attrs.field(factory=Deferred)
    running: bool = False


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

    def __init__(self, workers: int, timeout: float, memory: int, queue: int) -> None:
        self._workers = workers
        self._timeout = timeout
        self._limit = queue
        self._queue = FairQueue()
        self._running = 0
        self._processes = ProcessPool(
            min=0,
            max=workers,
            name="thumbnails",
            maxIdle=_IDLE_SECONDS,
            recycleAfter=_RECYCLE_AFTER,
            starter=_starter(),
            ampChildArgs=(str(memory),),
        )

    def submit(self, command: type[amp.Command], client: str, background: bool = False, **arguments: Any) -> Job:
        """Queue a job; raises `Overloaded` when too many wait.

        `client` is whoever takes turns with others. The job's `done` fails with `NoThumbnail`, `BrokenImage` (this
        includes a worker that died or took too long), `NoSpace` or `StoreUnavailable` (workers cannot be started);
        cancelling it withdraws the job while it waits.
        """
        if self._queue.waiting(background) >= self._limit:
            raise Overloaded("too many thumbnails are being made")
        job = Job(command, arguments, client, background)
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

    async def _run(self, job: Job) -> Any:
        begin = time.monotonic()
        try:
            return await maybeDeferred(self._processes.doWork, job.command, _timeout=self._timeout, **job.arguments)
        except Exception as error:
            raise self._explained(error, time.monotonic() - begin) from error

    def _finish(self, outcome: Any, job: Job) -> None:
        self._running -= 1
        if not job.done.called:
            job.done.callback(outcome)
        self._next()

    def _explained(self, error: Exception, seconds: float) -> AssetError:
        """The daemon's error for what a worker or its process said after that time."""
        if isinstance(error, failures.NotAnImage):
            return NoThumbnail(str(error))
        if isinstance(error, failures.BrokenImage):
            return BrokenImage(str(error))
        if isinstance(error, failures.DiskFull):
            return NoSpace("no space left for the thumbnail")
        if isinstance(error, ProcessTerminated) and error.signal is not None:
            if seconds >= self._timeout:
                return BrokenImage(f"reading the file takes more time than the limit of {self._timeout:g} s")
            return BrokenImage("reading the file ended the process that tried it")
        if isinstance(error, ProcessTerminated | ProcessDone | OSError):
            self._log.error("A worker process could not be used: {error}", error=error)
            return StoreUnavailable("the workers cannot be started")
        self._log.warn("A worker could not read a file: {error}", error=error)
        return BrokenImage("the file cannot be read")

    async def close(self) -> None:
        """End the processes."""
        await self._processes.stop()


class _Connection(AMPConnector):  # type: ignore[misc]  # ampoule has no types
    """The daemon's end of the pipe to a worker."""

    _log = Logger()

    def errReceived(self, data: bytes) -> None:
        """Log what image libraries print about broken files."""
        lines = data.decode("utf-8", "replace").splitlines()
        for line in lines[:_LOGGED_LINES]:
            self._log.info("A worker says: {line}", line=line)
        if len(lines) > _LOGGED_LINES:
            self._log.info("... and {more} lines more", more=len(lines) - _LOGGED_LINES)


def _starter() -> ProcessStarter:
    """Starts workers that find the modules this process finds, and get nothing else from its environment."""
    starter = ProcessStarter(
        bootstrap="from was_daemon.thumbnails.worker import main; main()",
        env={"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)},
        path="/",
    )
    starter.connectorFactory = _Connection
    return starter
