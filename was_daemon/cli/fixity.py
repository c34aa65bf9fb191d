"""`was-daemon fixity report` and `was-daemon fixity accept`."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.catalogue import require_catalogue
from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import collection_option, create_stores, directories_of

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.jobs.fixity.review import Review

_WORDS = {
    "changed": "changed",
    "missing": "missing",
    "unreadable": "unreadable",
    "ok": "as recorded again",
    "failed": "could not be read",
}
_ACCEPTED = {
    "accepted": "accepted",
    "ok": "as recorded again",
    "unknown": "not at fault",
    "failed": "could not be read",
}


@click.group()
def fixity() -> None:
    """See to originals that are not as the catalogue has them."""


@fixity.command(epilog=epilog("was-daemon fixity report --config was.toml"))
@collection_option
@config_option
@json_option
def report(collections: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Tell which originals are not as recorded, and what to restore.

    Those that the daemon, or `verify`, has found to be at fault are read again: one that was restored is at fault no
    longer. A line for each of the others.
    """

    async def work(review: "Review", report: "Report") -> None:
        from was_daemon.cli.progress import for_each_with_bar

        await for_each_with_bar("At fault", review.faulty, 1, review.look)

    _run(config, collections, work, as_json, _WORDS, ("changed", "missing", "unreadable", "failed"))


@fixity.command(epilog=epilog("was-daemon fixity accept scan.tif --config was.toml"))
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "all_of_them", is_flag=True, help="Accept every original that `fixity report` lists.")
@collection_option
@config_option
@json_option
def accept(
    names: tuple[str, ...], all_of_them: bool, collections: tuple[str, ...], config: Path | None, as_json: bool
) -> None:
    """Accept originals as they are now: the catalogue records the new content, or that one is lost.

    Only originals at fault are accepted. The history keeps what was recorded before.
    """
    if bool(names) == all_of_them:
        raise click.UsageError("name originals, or say --all")

    async def work(review: "Review", report: "Report") -> None:
        async for record in review.faulty(names):
            await review.accept(record, bool(names))
        review.describe_unknown(names)

    _run(config, collections, work, as_json, _ACCEPTED, ("unknown", "failed"))


def _run(
    config: Path | None,
    collections: Sequence[str],
    work: "Callable[[Review, Report], Awaitable[None]]",
    as_json: bool,
    words: dict[str, str],
    failures: Sequence[str],
) -> None:
    from was_daemon.cli.reactor import run

    settings = load_settings(config)
    require_catalogue(settings)
    settings = as_owner(settings, [], settings.catalogue.files())
    require_writable(settings, [], settings.catalogue.files())
    stores = create_stores(settings)
    directories = frozenset(directories_of(settings, collections)) if collections else None

    async def run_and_close() -> int:
        from was_daemon.catalogue.catalogue import open_catalogue
        from was_daemon.cli.report import Report
        from was_daemon.jobs.fixity.review import Review

        report = Report(as_json)
        catalogue = open_catalogue(settings.catalogue)
        try:
            await catalogue.catch_up()
            await work(Review(catalogue, stores, report, directories), report)
            await catalogue.move_all()
        finally:
            for store in stores.values():
                await store.close()
            await catalogue.close()
            report.end(words)
        return 1 if any(report.counts[word] for word in failures) else 0

    run(run_and_close)
