"""What the pages of the console show, as functions that look when a page is asked for."""

from collections.abc import Awaitable, Callable, Sequence

import attrs

from was_daemon.health.history.failures import Failures
from was_daemon.health.history.series import Chart, Span
from was_daemon.health.overview import OverviewSource
from was_daemon.health.report import Report
from was_daemon.health.work import Task
from was_daemon.jobs.reconcile.summary import Summary
from was_daemon.web.console.examination import Examination
from was_daemon.web.console.frame import Frame
from was_daemon.web.console.gallery.holdings import Holdings
from was_daemon.web.console.guard import Guard
from was_daemon.web.console.pages import Pages


@attrs.frozen
class Sources:
    """Functions that fire with what pages show. None of them blocks.

    `examination` is made when it is asked for. `holdings` returns the originals under the configuration that is in use.
    """

    overview: OverviewSource
    report: Callable[[], Awaitable[Report]]
    charts: Callable[[Span], Awaitable[Sequence[Chart]]]
    failures: Callable[[], Awaitable[Failures]]
    work: Callable[[], Awaitable[Sequence[Task]]]
    examination: Examination
    reconciled: Callable[[], Awaitable[Summary | None]]
    holdings: Callable[[], Holdings]


class SourcePages(Pages):
    """Base of pages that show what `sources` tell."""

    def __init__(self, guard: Guard, frame: Frame, sources: Sources) -> None:
        super().__init__(guard, frame)
        self.sources = sources
