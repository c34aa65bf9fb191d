"""The console of one process: its login, its parts, and the history that it shows."""

import time
from collections.abc import Callable, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime

from was_daemon.concurrency.threads import Threads
from was_daemon.config.load import ConfigSource
from was_daemon.config.settings import Settings
from was_daemon.daemon.components import Components
from was_daemon.daemon.console_rules import console_rules, stored_password
from was_daemon.daemon.console_work import tasks_of
from was_daemon.daemon.failed_reload import kept_mistakes
from was_daemon.daemon.process_state import ProcessState
from was_daemon.daemon.warnings import warnings
from was_daemon.doctor.findings import Finding
from was_daemon.health.history.failures import failures_of
from was_daemon.health.history.recorder import Recorder
from was_daemon.health.history.ring_file import Sample
from was_daemon.health.history.samples import sample_of
from was_daemon.health.overview import Overview, overview_source
from was_daemon.health.report import Report
from was_daemon.health.work import Task
from was_daemon.jobs.progress_file import read_progress
from was_daemon.jobs.reconcile.summary import Summary, read_summary
from was_daemon.web.console.examination import Examination
from was_daemon.web.console.failures import FailurePages
from was_daemon.web.console.findings import FindingPages
from was_daemon.web.console.gallery.holdings import Holdings
from was_daemon.web.console.gallery.routes import Gallery, Trash
from was_daemon.web.console.guard import Guard
from was_daemon.web.console.routes import Console, frame_of
from was_daemon.web.console.sources import Sources
from was_daemon.web.console.work import WorkPages

AREAS = (FailurePages, WorkPages, FindingPages, Gallery, Trash)
"""The parts of the console beside the overview, in the order of the navigation."""


def recorder_of(settings: Settings, state: ProcessState) -> Recorder:
    """Return what records the history of this process."""
    began = round(time.time())

    async def take() -> Sample:
        # Some of it is found by looking.
        await state.health.report()
        return sample_of(state.metrics.registry, began)

    return Recorder(settings.console_directory, state.process.number, take, lambda: failures_of(state.recent))


def console_of(source: ConfigSource, current: Callable[[], Components], recorder: Recorder) -> Console:
    """Return the console; `current` returns the components that are in use, which a reload exchanges.

    `source` is where the configuration is read for an examination.
    """
    from twisted.internet import reactor

    threads = Threads("console password", 1)

    async def password() -> str | None:
        settings = current().settings
        return await threads.call(lambda: stored_password(settings))

    guard = Guard(password, lambda: console_rules(current().settings), IReactorTime(reactor))
    frame = frame_of(AREAS)
    sources = _sources(source, current, recorder)
    return Console(guard, frame, sources, [area(guard, frame, sources) for area in AREAS])


def _sources(source: ConfigSource, current: Callable[[], Components], recorder: Recorder) -> Sources:
    state, threads = current().state, Threads("console files", 1)

    async def overview() -> Overview:
        return await overview_source(state.health, state.recent, current().pool, state.process)()

    async def report() -> Report:
        # As `was-daemon status` adds them: `/healthz` tells none that name a path.
        # It imports much that a daemon without a catalogue does not need.
        from was_daemon.daemon.catalogue_advice import advice_on_catalogue

        settings, found = current().settings, await state.health.report()
        of_settings = await threads.call(lambda: [*kept_mistakes(settings.console_directory), *warnings(settings)])
        advice = await advice_on_catalogue(current())
        return attrs.evolve(found, warnings=[*dict.fromkeys([*found.warnings, *of_settings, *advice])])

    async def work() -> list[Task]:
        components = current()
        directory = components.settings.console_directory
        commands = await threads.call(lambda: read_progress(directory))
        return await tasks_of(components, await state.health.report(), commands)

    async def reconciled() -> Summary | None:
        directory = current().settings.console_directory
        return await threads.call(lambda: read_summary(directory))

    async def examine() -> Sequence[Finding]:
        # It imports much that no request needs.
        from was_daemon.daemon.examination import findings_of

        return await findings_of(source)

    def holdings() -> Holdings:
        return current().holdings

    return Sources(
        overview, report, recorder.charts, recorder.failures, work, Examination(examine), reconciled, holdings
    )
