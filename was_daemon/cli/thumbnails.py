"""`was-daemon thumbnails warm` and `prune`."""

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
def thumbnails() -> None:
    """Make thumbnails before anybody asks for them, and remove those of no use."""


@thumbnails.command(epilog=epilog("was-daemon thumbnails warm --scale 123 --scale 256 --config was.toml"))
@click.option("--scale", "scales", multiple=True, required=True, type=click.IntRange(1), help="May be repeated.")
@collection_option
@workers_option
@throttle_option
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
    work_slowly()

    async def work(components: "Components", report: "Report") -> None:
        from was_daemon.cli.progress import for_each_with_bar
        from was_daemon.concurrency.rate_limit import RateLimit
        from was_daemon.derivatives.thumbnails import Thumbnail
        from was_daemon.jobs.warm import Warmer

        for directory in directories:
            await require_directory(components.collections.place_in(directory).store)
        if components.evictor:
            await components.evictor.start()
        warmer = Warmer(
            components.collections,
            components.derivatives,
            directories,
            [Thumbnail(scale) for scale in sorted(set(scales))],
            RateLimit(throttle),
            report,
        )
        # One more than workers: the next original is read while thumbnails are made.
        await for_each_with_bar("Warming", warmer.originals, workers + 1, warmer.warm)

    run_beside_daemon(settings_beside_daemon(settings, workers), work, WARM_WORDS, as_json)


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

    run_beside_daemon(settings_beside_daemon(settings, 1), work, _prune_words(dry_run), as_json)


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
