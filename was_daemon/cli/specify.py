"""`was-daemon specify read`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.catalogue import require_catalogue
from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import create_stores

if TYPE_CHECKING:
    from was_daemon.catalogue.database import CatalogueDatabase
    from was_daemon.config.settings import Settings, SpecifySettings
    from was_daemon.specify.records import Source

records_option = click.option(
    "--records",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="An export of Specify's attachments, instead of the database: CSV or tab-separated, with a line of headers.",
)


@click.group()
def specify() -> None:
    """Keep what Specify says of its attachments."""


@specify.command(epilog=epilog("was-daemon specify read fish --config was.toml"))
@click.argument("name")
@records_option
@click.option(
    "--accept-fewer",
    is_flag=True,
    help="Accept that there are fewer attachments than min_share allows, or that IsPublic is missing.",
)
@config_option
@json_option
def read(name: str, records: Path | None, accept_fewer: bool, config: Path | None, as_json: bool) -> None:
    """Read all attachments of the database that `[specify.NAME]` describes into the catalogue, now.

    The daemon does so by itself where there is a `url`. Without access to the database, read an export.
    """
    import attrs

    from was_daemon.cli.reactor import run
    from was_daemon.daemon.assembly import collections_in
    from was_daemon.daemon.specify import source_of

    settings = load_settings(config)
    require_catalogue(settings)
    chosen = _chosen(settings, name)
    if not records and not chosen.url:
        raise click.UsageError(f"specify.{name} has no url: name an export with --records")
    settings = as_owner(settings, [], settings.catalogue.files())
    require_writable(settings, [], settings.catalogue.files())
    source = source_of(name, chosen, collections_in(settings, create_stores(settings)))
    if accept_fewer:
        chosen = attrs.evolve(chosen, min_rows=0, min_share=0.0)

    async def work() -> int:
        from was_daemon.catalogue.catalogue import open_catalogue

        catalogue = open_catalogue(settings.catalogue)
        try:
            rows, changed = await _read(catalogue.database, source, chosen, records)
        finally:
            await catalogue.close()
        words = f"{rows} attachments, of which {changed} were new or different"
        click.echo(json.dumps({"attachments": rows, "changed": changed}) if as_json else words)
        return 0

    run(work)


def _chosen(settings: "Settings", name: str) -> "SpecifySettings":
    if name not in settings.specify:
        there = ", ".join(settings.specify) or "none"
        raise click.BadParameter(f"there is no [specify.{name}] in the configuration; there are {there}")
    return settings.specify[name]


async def _read(
    catalogue: "CatalogueDatabase", source: "Source", settings: "SpecifySettings", records: Path | None
) -> tuple[int, int]:
    """Fire with the number of attachments, and of those whose records have changed."""
    from was_daemon.specify.export import Export
    from was_daemon.specify.reader import SpecifyReader, read_export

    if records is None:
        reader = SpecifyReader(source, settings, catalogue)
        try:
            changed = await reader.read(whole=True)
            return reader.rows, changed
        finally:
            await reader.close()
    export = Export(records)
    try:
        await export.load()
        return export.rows, await read_export(catalogue, source, settings, export)
    finally:
        await export.close()
