"""`was-daemon reconcile`: comparison of what is stored with what Specify has records of."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.changes import as_daemon, build_components, opened
from was_daemon.cli.identity import as_any_owner, as_owner, require_writable
from was_daemon.cli.moments import Ago
from was_daemon.cli.options import config_option, epilog, failing_with, json_option, load_settings
from was_daemon.cli.specify import records_option
from was_daemon.cli.targets import collection_option, create_stores

if TYPE_CHECKING:
    from was_daemon.cli.findings import FindingsPrinter
    from was_daemon.config.settings import Settings
    from was_daemon.daemon.components import Components

_COULD_NOT = 2
_STATUS = "0 nothing was found, 1 there are findings, 2 it could not be compared, or the command was used wrongly"


@click.command(epilog=epilog("was-daemon reconcile --config was.toml", status=_STATUS))
@collection_option
@records_option
@click.option(
    "--min-age",
    default="30 days",
    show_default=True,
    type=Ago(unit="days"),
    metavar="TIME",
    help="Originals that were changed within this time are no orphans yet; a bare number is in days.",
)
@click.option("--quarantine", is_flag=True, help="Move orphaned originals into the trash.")
@click.option(
    "--limit",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Move nothing if more than this share of a collection's originals are orphaned.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each finding.")
@config_option
@json_option
def reconcile(
    collections: tuple[str, ...],
    records: Path | None,
    min_age: float,
    quarantine: bool,
    limit: float,
    as_csv: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Compare the stored originals with the records in Specify's databases.

    It finds originals that are missing, or in no record; names that differ only in case; thumbnails without original;
    files that are empty or of another type than their extension's; and equal contents. Nothing is changed without
    --quarantine.
    """
    from was_daemon.cli.reactor import run

    with failing_with(_COULD_NOT):
        if as_csv and as_json:
            raise click.UsageError("--csv and --json exclude each other")
        if quarantine and records:
            raise click.UsageError(
                "--quarantine goes by [specify.NAME]: read the export with was-daemon specify read NAME --records"
            )
        settings = _as_user(load_settings(config), quarantine)
        # It imports what `--help` does not need.
        from was_daemon.cli.comparison import Comparison

        _require_records(settings, records)
        components = _components(settings) if quarantine else None
        comparison = Comparison.of(settings, create_stores(settings), collections, records, min_age)

    async def work() -> int:
        printer = _printer(as_csv, as_json)
        if components is None:
            await comparison.run(printer, None, limit)
        else:
            async with opened(components):
                await comparison.run(printer, components.assets.quarantine, limit)
        if not (collections or records):
            _keep(settings, printer)
        return 1 if printer.counts else 0

    run(work, failure=_COULD_NOT)


def _keep(settings: "Settings", printer: "FindingsPrinter") -> None:
    """Keep the numbers for the console, if this user can write to its directory."""
    from was_daemon.jobs.reconcile.summary import Summary, keep_summary

    with suppress(OSError):
        keep_summary(
            settings.console_directory, Summary(time.time(), printer.originals, printer.records, dict(printer.counts))
        )


def _as_user(settings: "Settings", writes: bool) -> "Settings":
    if writes:
        return as_daemon(settings)
    if not settings.catalogue.is_on:
        return as_any_owner(settings)
    files = settings.catalogue.files()
    settings = as_owner(settings, [], files)
    require_writable(settings, [], files)
    return settings


def _require_records(settings: "Settings", records: Path | None) -> None:
    """Raise `ClickException` if nothing tells which attachments Specify has."""
    if not records and not settings.specify:
        raise click.ClickException(
            "there is no [specify.NAME] in the configuration: add one, or name an export of Specify's attachments with "
            "--records"
        )


def _components(settings: "Settings") -> "Components":
    """Return what moves originals into the trash as the daemon does; raise `ClickException` if there is no trash."""
    if settings.trash.keep is None:
        raise click.ClickException("there is no trash to move orphaned originals into: set keep in the section [trash]")
    return build_components(settings)


def _printer(as_csv: bool, as_json: bool) -> "FindingsPrinter":
    from was_daemon.cli.findings import CSVOutput, FindingsPrinter, JSONOutput, TextOutput

    return FindingsPrinter(CSVOutput() if as_csv else JSONOutput() if as_json else TextOutput())
