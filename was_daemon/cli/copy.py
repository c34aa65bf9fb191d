"""`was-daemon copy`: copies of collections from one store to another."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.names import check_names, files_behind, names_option, opened_if_given, require_names
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import (
    check_store_name,
    close,
    collection_option,
    create_stores,
    directories_of,
    require_directory,
)

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.config.settings import Settings
    from was_daemon.jobs.copy.copier import Copier
    from was_daemon.jobs.copy.job import CopyJob

_JOURNAL = "copies.sqlite"


@click.command(epilog=epilog("was-daemon copy --from main --to nas --config was.toml"))
@click.option("--from", "source", required=True, metavar="STORE", help="The store to read.")
@click.option("--to", "target", required=True, metavar="STORE", help="The store to write.")
@collection_option
@names_option
@click.option("--thumbnails", is_flag=True, help="Copy the thumbnails of what is copied, too.")
@click.option("--overwrite", is_flag=True, help="Replace files that differ at the target.")
@click.option("--dry-run", is_flag=True, help="Write nothing, only say what would be done.")
@click.option("--parallel", default=8, show_default=True, type=click.IntRange(1, 256), help="Files at a time.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to remember what was verified; by default a file in the spool's directory.",
)
@config_option
@json_option
def copy(
    source: str,
    target: str,
    collections: tuple[str, ...],
    names: str | None,
    thumbnails: bool,
    overwrite: bool,
    dry_run: bool,
    parallel: int,
    state: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Copy the files of collections from one store to another, and verify each of them.

    A line for each file that failed, or that differs from the one at the target, which is left alone. What is the same
    at the target already is not copied again: a command that was interrupted, however, is started again, and
    copies the rest. The daemon may go on meanwhile; nothing is deleted. With --names only these originals are copied,
    and those that are not there are reported as missing.
    """
    from was_daemon.cli.reactor import RESUMED, run

    settings = load_settings(config)
    check_store_name(settings, source, "--from")
    if check_store_name(settings, target, "--to") == source:
        raise click.BadParameter("is the store to read", param_hint="--to")
    directories = directories_of(settings, collections)
    check_names(settings, names, directories)
    settings = as_owner(settings, [target], [settings.spool.path, *files_behind(settings, names)])
    require_writable(settings, [] if dry_run else [target], files_behind(settings, names))
    stores = create_stores(settings)
    require_names([(source, stores[source])], names)
    path = state or settings.spool.path / _JOURNAL

    async def work() -> int:
        from was_daemon.cli.report import Report
        from was_daemon.jobs.copy.copier import Copier
        from was_daemon.jobs.copy.job import CopyJob
        from was_daemon.jobs.copy.journal import CopyJournal

        # A dry run leaves no file behind.
        journal = CopyJournal(path if path.exists() or not dry_run else None, stores[source], stores[target])
        copier = Copier(stores[source], stores[target], journal, overwrite, dry_run)
        report = Report(as_json)
        async with opened_if_given(settings, names, directories) as found:
            job = CopyJob(copier, directories, report, found)
            return await _copy_and_report(settings, job, thumbnails, parallel, report)

    run(work, RESUMED)


async def _copy_and_report(
    settings: "Settings", job: "CopyJob", thumbnails: bool, parallel: int, report: "Report"
) -> int:
    """Copy everything, close what was opened and print the counts; return the exit status."""
    copier = job.copier
    try:
        await copier.journal.open()
        await _copy(settings, job, thumbnails, parallel)
    finally:
        for store in (copier.source, copier.target):
            await close(store)
        await copier.journal.close()
        _end(report, copier)
    return 1 if any(report.counts[each] for each in ("failed", "differs", "missing")) else 0


async def _copy(settings: "Settings", job: "CopyJob", thumbnails: bool, parallel: int) -> None:
    from was_daemon.cli.progress import for_each_with_bar
    from was_daemon.library.spool import Spool

    await require_directory(job.copier.source)
    if not job.copier.dry_run:
        spool = Spool(settings.spool.path, settings.spool.max_size)
        try:
            await job.prepare_target(spool)
        finally:
            await spool.close()
    await for_each_with_bar("Originals", job.originals, parallel, job.copy_original)
    if thumbnails:
        await for_each_with_bar("Thumbnails", job.thumbnails, parallel, job.copy_thumbnail)


def _end(report: "Report", copier: "Copier") -> None:
    words = {
        "copied": "to copy" if copier.dry_run else "copied",
        "replaced": "to replace" if copier.dry_run else "replaced",
        "there": "there already",
        "differs": "differ",
        "failed": "failed",
        "skipped": "thumbnails left out",
        "gone": "deleted meanwhile",
        "missing": "missing",
    }
    report.end(words, bytes=copier.copied_bytes)
