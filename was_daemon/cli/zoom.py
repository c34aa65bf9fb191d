"""`was-daemon zoom warm` and `prune`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.beside_daemon import (
    WARM_WORDS,
    run_beside_daemon,
    settings_beside_daemon,
    throttle_option,
    work_slowly,
    workers_option,
)
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import collection_option, directories_of, require_directory

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.daemon.components import Components


@click.group()
def zoom() -> None:
    """Make the pyramids of pictures before anybody zooms, and remove those of no use."""


@zoom.command(epilog=epilog("was-daemon zoom warm --config was.toml"))
@collection_option
@workers_option
@throttle_option
@config_option
@json_option
def warm(
    collections: tuple[str, ...], workers: int, throttle: float | None, config: Path | None, as_json: bool
) -> None:
    """Make the missing pyramids of first pages.

    What is there and up to date is left alone, so an interrupted command is simply started again. It works at a low
    priority, beside the daemon. Files that are no pictures are counted; they are no failure.
    """
    settings = load_settings(config)
    directories = directories_of(settings, collections)
    work_slowly()

    async def work(components: "Components", report: "Report") -> None:
        from was_daemon.cli.progress import for_each_with_bar
        from was_daemon.concurrency.rate_limit import RateLimit
        from was_daemon.derivatives.pyramids import Pyramid
        from was_daemon.jobs.warm import Warmer

        for directory in directories:
            await require_directory(components.collections.place_in(directory).store)
        await components.derivatives.start()
        warmer = Warmer(
            components.collections, components.derivatives, directories, [Pyramid()], RateLimit(throttle), report
        )
        # One more than workers: the next original is read while pyramids are made.
        await for_each_with_bar("Warming", warmer.originals, workers + 1, warmer.warm)

    run_beside_daemon(settings_beside_daemon(settings, workers), work, WARM_WORDS, as_json)


@zoom.command(epilog=epilog("was-daemon zoom prune --dry-run --config was.toml"))
@collection_option
@click.option("--dry-run", is_flag=True, help="Remove nothing, only list what would be removed.")
@click.option("--parallel", default=8, show_default=True, type=click.IntRange(1, 256), help="Files at a time.")
@config_option
@json_option
def prune(collections: tuple[str, ...], dry_run: bool, parallel: int, config: Path | None, as_json: bool) -> None:
    """Remove the pyramids whose originals are gone or were replaced. Files that were not made here are left alone."""
    settings = load_settings(config)
    directories = directories_of(settings, collections)

    async def work(components: "Components", report: "Report") -> None:
        from was_daemon.cli.progress import for_each_with_bar
        from was_daemon.jobs.prune_pyramids import PyramidPruner

        for directory in directories:
            await require_directory(components.collections.place_in(directory).thumbnails)
        pruner = PyramidPruner(components.collections, directories, dry_run, report)
        await for_each_with_bar("Pruning", pruner.pyramids, parallel, pruner.prune)

    to_be = "to be removed" if dry_run else "removed"
    words = {
        "orphan": f"without an original {to_be}",
        "outdated": f"of an earlier version {to_be}",
        "kept": "kept",
        "unknown": "other files",
        "failed": "failed",
    }
    run_beside_daemon(settings_beside_daemon(settings, 1), work, words, as_json)
