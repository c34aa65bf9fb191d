"""The state of a process of the daemon, in numbers that anybody may see."""

import time
from collections.abc import Awaitable, Callable

import attrs

from was_daemon.config.process_share import ProcessShare
from was_daemon.health.checks import Health
from was_daemon.health.mirrors import all_copies
from was_daemon.model.mirror import CopyState
from was_daemon.telemetry.recent_errors import RecentErrors
from was_daemon.workers.pool import WorkerPool

_BEGIN = time.monotonic()


@attrs.frozen
class Overview:
    """Numbers of stores, of jobs, and of what went wrong in the last hour in one process; `uptime` is in seconds.

    `are_files_failing` tells of the daemon's own files: the spool and the databases. `are_originals_faulty` is None
    without a catalogue, `copies` without a mirror; it has what all copies lack together.
    """

    stores: int = 0
    stores_failing: int = 0
    are_files_failing: bool = False
    is_space_low: bool = False
    are_workers_failing: bool = False
    are_originals_faulty: bool | None = None
    running: int = 0
    waiting: int = 0
    background: int = 0
    errors: int = 0
    failed_requests: int = 0
    uptime: float = 0.0
    process: ProcessShare = attrs.field(factory=ProcessShare)
    copies: CopyState | None = None

    @property
    def is_well(self) -> bool:
        """Whether everything works at the moment."""
        are_parts_failing = self.stores_failing or self.are_files_failing or self.are_workers_failing
        return not (are_parts_failing or self.is_space_low or self.are_originals_faulty)


OverviewSource = Callable[[], Awaitable[Overview]]
"""A function that fires with the present overview."""


def overview_source(health: Health, recent: RecentErrors, pool: WorkerPool, process: ProcessShare) -> OverviewSource:
    """Return a function that makes the overview from these whenever it is called."""

    async def overview() -> Overview:
        report = await health.report()
        own_files = [report.spool, *report.databases.values()]
        return Overview(
            stores=len(report.stores),
            stores_failing=sum(bool(each.problem) and not each.is_full for each in report.stores.values()),
            are_files_failing=any(each.problem and not each.is_full for each in own_files),
            is_space_low=any(each.is_full for each in [*report.stores.values(), *own_files]),
            are_workers_failing=bool(report.workers),
            are_originals_faulty=bool(report.fixity.problem) if report.fixity else None,
            running=pool.running,
            waiting=pool.waiting(background=False),
            background=pool.waiting(background=True),
            errors=recent.errors(),
            failed_requests=recent.failed_requests(),
            uptime=time.monotonic() - _BEGIN,
            process=process,
            copies=all_copies(report.mirrors) if report.mirrors else None,
        )

    return overview


async def empty_overview() -> Overview:
    """Fire with the overview of a server without stores and jobs."""
    return Overview()
