"""Queue of jobs in which clients take turns and background work comes last."""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.protocols import amp

from was_daemon.workers.commands import METRIC_NAMES


class OpenFile(Protocol):
    """Open file of a job."""

    def fileno(self) -> int:
        """Return the file's descriptor."""


@attrs.define(eq=False)
class Job:
    """One command for a worker; `done` fires with its answer, or fails with an `AssetError`.

    `files` are the open files that the command names. Jobs of the same `client` are done in order.
    """

    command: type[amp.Command]
    files: Sequence[OpenFile]
    arguments: dict[str, Any]
    client: str
    background: bool
    done: Deferred[dict[str, Any]] = attrs.field(factory=Deferred)
    running: bool = False

    @property
    def metric_name(self) -> str:
        """Name of the job's command in the metrics."""
        return METRIC_NAMES.get(self.command, "other")


class FairQueue:
    """Waiting jobs: clients take turns, each with its own jobs in order; background jobs come after all others."""

    def __init__(self) -> None:
        self._lanes: tuple[dict[str, deque[Job]], dict[str, deque[Job]]] = ({}, {})
        self._lengths = [0, 0]

    def __len__(self) -> int:
        return sum(self._lengths)

    def waiting(self, background: bool) -> int:
        """Return the number of waiting jobs, of those in the background or of all others."""
        return self._lengths[background]

    def push(self, job: Job) -> None:
        """Add `job` behind the other jobs of its client."""
        self._lanes[job.background].setdefault(job.client, deque()).append(job)
        self._lengths[job.background] += 1

    def pop(self) -> Job:
        """Remove and return the next job; raise IndexError when the queue is empty."""
        for lane in self._lanes:
            for client in lane:
                jobs = lane.pop(client)
                job = jobs.popleft()
                if jobs:
                    lane[client] = jobs
                self._lengths[job.background] -= 1
                return job
        raise IndexError("no job is waiting")

    def remove(self, job: Job) -> None:
        """Remove `job`; raise ValueError when it is not in the queue."""
        lane = self._lanes[job.background]
        jobs = lane.get(job.client, deque())
        jobs.remove(job)
        if not jobs:
            del lane[job.client]
        self._lengths[job.background] -= 1
