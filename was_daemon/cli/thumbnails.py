"""`was-daemon thumbnails warm` and `prune`."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import collection_option, directories_of, require_directory

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.config.settings import Settings
    from was_daemon.daemon.components import Components

_NICENESS = 10
_SPOOL_DIRECTORY = "thumbnails"
"""Directory in the spool for a command's copies of remote originals, apart from the daemon's."""

_WARM_WORDS = {
    "made": "made",
    "there": "there already",
    "refused": "files of which none can be made",
    "failed": "failed",
}


@click.group()
def thumbnails() -> None:
    """Make thumbnails before anybody asks for them, and remove those of no use."""


@thumbnails.command(epilog=epilog("was-daemon thumbnails warm --scale 123 --scale 256 --config was.toml"))
@click.option("--scale", "scales", multiple=True, required=True, type=click.IntRange(1), help="May be repeated.")
@collection_option
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes that make them.")
@click.option(
    "--throttle",
    type=click.FloatRange(0, min_open=True),
    metavar="RATE",
    help="Make thumbnails of at most so many originals a second.",
)
@config_option
@json_option
def warm(
    scales: tuple[int, ...],
    collections: tuple[str, ...],
    workers: int,
    throttle: float | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Make the thumbnails of these scales that are missing.

    What is there and up to date is left alone, so an interrupted command is simply started again. It works at a low
    priority, beside the daemon. Files of which no thumbnail can be made are counted; they are no failure.
    """
    settings = load_settings(config)
    max_scale = settings.thumbnails.max_scale
    if max(scales) > max_scale:
        raise click.BadParameter(f"the configuration allows {max_scale} at most", param_hint="--scale")
    directories = directories_of(settings, collections)
    os.nice(_NICENESS)

    async def work(components: "Components", report: "Report") -> None:
        from was_daemon.cli.progress import for_each_with_bar
        from was_daemon.jobs.warm import RateLimit, Warmer

        for directory in directories:
            await require_directory(components.collections.place_in(directory).store)
        if components.evictor:
            await components.evictor.start()
        warmer = Warmer(
            components.collections,
            components.derivatives,
            directories,
            sorted(set(scales)),
            RateLimit(throttle),
            report,
        )
        # One more than workers: the next original is read while thumbnails are made.
        await for_each_with_bar("Warming", warmer.originals, workers + 1, warmer.warm)

    _run(_settings_beside_daemon(settings, workers), work, _WARM_WORDS, as_json)


@thumbnails.command(epilog=epilog("was-daemon thumbnails prune --keep-scale 123 --dry-run --config was.toml"))
@click.option("--keep-scale", "kept", multiple=True, type=click.IntRange(1), help="Remove other scales; repeatable.")
@collection_option
@click.option(
    "--unmarked",
    is_flag=True,
    help="Remove also those without an original that were not made here, as the official server leaves them.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing, only list what would be removed.")
@click.option("--parallel", default=8, show_default=True, type=click.IntRange(1, 256), help="Files at a time.")
@config_option
@json_option
def prune(
    kept: tuple[int, ...],
    collections: tuple[str, ...],
    unmarked: bool,
    dry_run: bool,
    parallel: int,
    config: Path | None,
    as_json: bool,
) -> None:
    """Remove the thumbnails whose originals are gone, and with --keep-scale those of all other scales.

    Files that are not called like a thumbnail are left alone, and so are those without an original that were not made
    here. With --unmarked these go, too: use it only where nothing but asset servers has put files there.
    """
    settings = load_settings(config)
    directories = directories_of(settings, collections)

    async def work(components: "Components", report: "Report") -> None:
        from was_daemon.cli.progress import for_each_with_bar
        from was_daemon.jobs.prune import Pruner

        # The pruner reports collections whose originals are missing one by one.
        for directory in directories:
            await require_directory(components.collections.place_in(directory).thumbnails)
        pruner = Pruner(components.collections, directories, frozenset(kept), unmarked, dry_run, report)
        await for_each_with_bar("Pruning", pruner.thumbnails, parallel, pruner.prune)

    _run(_settings_beside_daemon(settings, 1), work, _prune_words(dry_run), as_json)


def _prune_words(dry_run: bool) -> dict[str, str]:
    to_be = "to be removed" if dry_run else "removed"
    return {
        "orphan": f"without an original {to_be}",
        "scale": f"of other scales {to_be}",
        "kept": "kept",
        "unmarked": "not made here, without an original",
        "unknown": "other files",
        "failed": "failed",
    }


def _settings_beside_daemon(settings: "Settings", workers: int) -> "Settings":
    """Return the daemon's settings for a command that runs beside it: another spool, `workers` workers."""
    import attrs

    settings = as_owner(settings, settings.stores, [settings.spool.path])
    return attrs.evolve(
        settings,
        spool=attrs.evolve(settings.spool, path=settings.spool.path / _SPOOL_DIRECTORY),
        thumbnails=attrs.evolve(settings.thumbnails, workers=workers),
    )


def _run(
    settings: "Settings",
    work: "Callable[[Components, Report], Awaitable[None]]",
    words: dict[str, str],
    as_json: bool,
) -> None:
    from was_daemon.cli.reactor import RESUMED, run
    from was_daemon.config.load import ConfigError
    from was_daemon.daemon.assembly import build
    from was_daemon.daemon.process_state import ProcessState
    from was_daemon.library.store_steps import register

    try:
        components = build(settings, ProcessState.new())
    except ConfigError as error:
        raise click.ClickException(str(error)) from None

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
