"""`was-daemon catalogue rebuild`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import collection_option, create_stores, directories_of, require_directory

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings

_WORDS = {"recorded": "recorded now", "failed": "could not be read"}


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
@click.option("--parallel", default=4, show_default=True, type=click.IntRange(1, 256), help="Files at a time.")
@config_option
@json_option
def rebuild(collections: tuple[str, ...], parallel: int, config: Path | None, as_json: bool) -> None:
    """Read all stored originals that are not in the catalogue, and enter them.

    What is recorded is left alone, so an interrupted command is simply started again. The daemon may run meanwhile.
    """
    from was_daemon.cli.reactor import run

    settings = load_settings(config)
    require_catalogue(settings)
    settings = as_owner(settings, [], settings.catalogue.files())
    require_writable(settings, [], settings.catalogue.files())
    stores = create_stores(settings)
    directories = directories_of(settings, collections)

    async def work() -> int:
        from was_daemon.catalogue.catalogue import open_catalogue
        from was_daemon.cli.progress import for_each_with_bar
        from was_daemon.cli.report import Report
        from was_daemon.jobs.verify import Verifier

        report = Report(as_json)
        opened = open_catalogue(settings.catalogue)
        try:
            for name, store in stores.items():
                await require_directory(store)
                verifier = Verifier(name, store, opened, report)
                unrecorded = partial(verifier.unrecorded, _directories_in(settings, name, directories))
                await for_each_with_bar(name, unrecorded, parallel, verifier.record)
            await opened.move_all()
        finally:
            for store in stores.values():
                await store.close()
            await opened.close()
            report.end(_WORDS)
        return 1 if report.counts["failed"] else 0

    run(work)
