"""Commands that make and remove derivatives beside a daemon that runs."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from was_daemon.cli.changes import build_components
from was_daemon.cli.identity import as_owner

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.config.settings import Settings
    from was_daemon.daemon.components import Components

_NICENESS = 10
_SPOOL_DIRECTORY = "thumbnails"
"""Directory in the spool for a command's copies of remote originals, apart from the daemon's."""

WARM_WORDS = {
    "made": "made",
    "there": "there already",
    "refused": "files of which none can be made",
    "failed": "failed",
}
"""Words in a command's report for the outcomes that it counts."""

throttle_option = click.option(
    "--throttle",
    type=click.FloatRange(0, min_open=True),
    metavar="RATE",
    help="Look at no more than so many originals a second.",
)
workers_option = click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes that make them."
)


def work_slowly() -> None:
    """Leave the processors to others that want them."""
    os.nice(_NICENESS)


def settings_beside_daemon(settings: "Settings", workers: int) -> "Settings":
    """Return the daemon's settings for a command that runs beside it: another spool, `workers` workers."""
    import attrs

    settings = as_owner(settings, settings.stores, [settings.spool.path])
    return attrs.evolve(
        settings,
        spool=attrs.evolve(settings.spool, path=settings.spool.path / _SPOOL_DIRECTORY),
        thumbnails=attrs.evolve(settings.thumbnails, workers=workers),
    )


def run_beside_daemon(
    settings: "Settings",
    work: "Callable[[Components, Report], Awaitable[None]]",
    words: dict[str, str],
    as_json: bool,
) -> None:
    """Run `work` with the components of `settings`, and print a report that has `words` for what was counted."""
    from was_daemon.cli.reactor import RESUMED, run
    from was_daemon.library.store_steps import register

    components = build_components(settings)

    async def run_and_close() -> int:
        from was_daemon.cli.report import Report

        report = Report(as_json)
        try:
            await components.spool.start()
            for store in components.stores.values():
                await register(store, components.spool)
            await work(components, report)
        finally:
            for part in components.closable:
                await part.close()
            report.end(words)
        return 1 if report.counts["failed"] else 0

    run(run_and_close, RESUMED)
