"""`was-daemon catalogue rebuild`."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.beside_daemon import run_beside_daemon, settings_beside_daemon
from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.names import CATALOGUE, check_names, listed, names_option, require_names
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import collection_option, create_stores, directories_of, require_directory

if TYPE_CHECKING:
    from was_daemon.cli.report import Report
    from was_daemon.config.settings import Settings
    from was_daemon.daemon.components import Components
    from was_daemon.model.interfaces import IAssetStore

_WORDS = {
    "recorded": "recorded now",
    "described": "described that were recorded already",
    "missing": "to be described and not in the store",
    "failed": "could not be read",
}


@click.group()
def catalogue() -> None:
    """Keep the database of what is stored."""


def require_catalogue(settings: "Settings") -> None:
    """Raise `ClickException` when no catalogue is configured."""
    if not settings.catalogue.is_on:
        raise click.ClickException("there is no catalogue: set path in the section [catalogue]")


def _directories_in(settings: "Settings", store: str, directories: Sequence[str]) -> list[str]:
    """Return those of the collections' directories that are in a store."""
    default, collections = settings.default_store, settings.collections.map.values()
    stores = {each.directory: each.store or default for each in collections}
    return [directory for directory in directories if stores.get(directory, default) == store]


@catalogue.command(epilog=epilog("was-daemon catalogue rebuild --config was.toml"))
@collection_option
@names_option
@click.option("--parallel", default=4, show_default=True, type=click.IntRange(1, 256), help="Files at a time.")
@click.option(
    "--describe/--no-describe", default=True, help="Also find out media types, pixels, dates and places; the default."
)
@config_option
@json_option
def rebuild(
    collections: tuple[str, ...],
    names: str | None,
    parallel: int,
    describe: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Read all stored originals that are not in the catalogue, and enter them.

    Each is read once: for its checksums, and for what is in it. Originals that are recorded, but not described, are
    described. What is done is left alone, so an interrupted command is simply started again. The daemon may run
    meanwhile; without --describe it describes them later. With --names only these originals are entered.
    """
    settings = load_settings(config)
    require_catalogue(settings)
    settings = as_owner(settings, [], settings.catalogue.files())
    require_writable(settings, [], settings.catalogue.files())
    directories = directories_of(settings, collections)
    check_names(settings, names, directories)
    if names == CATALOGUE:
        raise click.UsageError("--names catalogue: what is there needs not be entered")
    used = {name: inside for name in settings.stores if (inside := _directories_in(settings, name, directories))}
    stores = create_stores(settings)
    require_names([(name, stores[name]) for name in used], names)
    workers = min(parallel, len(os.sched_getaffinity(0)))

    async def work(components: "Components", report: "Report") -> None:
        from was_daemon.cli.progress import for_each_with_bar
        from was_daemon.jobs.facts import FactsReader
        from was_daemon.jobs.rebuild import Rebuilder
        from was_daemon.jobs.verify import Verifier
        from was_daemon.model.errors import AssetError

        catalogue, spool = components.catalogue, components.spool
        assert catalogue  # noqa: S101 - it is required
        reader = FactsReader(components.pool) if describe else None

        async def enter(name: str, store: "IAssetStore", inside: list[str], list_of: "IAssetStore") -> None:
            await require_directory(store)
            rebuilder = Rebuilder(name, store, catalogue, spool, reader, report)
            try:
                unrecorded = partial(Verifier(name, list_of, catalogue, report).unrecorded, inside)
                await for_each_with_bar(name, unrecorded, parallel, rebuilder.enter)
                await rebuilder.flush()
                undescribed = partial(rebuilder.undescribed, inside)
                await for_each_with_bar(f"{name}, recorded", undescribed, parallel, rebuilder.describe)
            finally:
                await rebuilder.flush()

        for name, inside in used.items():
            store = components.stores[name]
            async with listed(settings, store, names, directories) as list_of:
                try:
                    await enter(name, store, inside, list_of)
                except AssetError as error:
                    # Another store may be up.
                    report.describe("failed", f"the store {name}", str(error))

    run_beside_daemon(settings_beside_daemon(settings, workers), work, _WORDS, as_json)
