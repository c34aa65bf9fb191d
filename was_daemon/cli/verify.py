"""`was-daemon verify`: comparison of stored originals with their recorded checksums."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner, require_writable
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
    from was_daemon.jobs.verify import Verifier

_WORDS = {
    "ok": "as recorded",
    "changed": "changed",
    "missing": "missing",
    "unrecorded": "not recorded",
    "recorded": "recorded now",
    "failed": "could not be read",
}
_FAILURES = ("changed", "missing", "failed")


@click.command(epilog=epilog("was-daemon verify --store main --config was.toml"))
@click.option("--store", "name", required=True, metavar="STORE", help="The store whose files are read.")
@collection_option
@click.option("--record", is_flag=True, help="Record the files as they are now of which nothing is recorded.")
@click.option("--parallel", default=4, show_default=True, type=click.IntRange(1, 256), help="Files at a time.")
@config_option
@json_option
def verify(
    name: str, collections: tuple[str, ...], record: bool, parallel: int, config: Path | None, as_json: bool
) -> None:
    """Compare the originals in a store with the checksums that were recorded when they were uploaded.

    A line for each file that changed, is missing, or cannot be read. Files of which nothing is recorded, like those
    copied into the store, are counted. Checksums are recorded when the configuration says `[catalogue] path` or `url`.
    What is found counts for the daemon, too, as if it had found it itself: see `fixity report`.
    """
    from was_daemon.cli.reactor import run

    settings = load_settings(config)
    check_store_name(settings, name, "--store")
    directories = directories_of(settings, collections)
    if not settings.catalogue.is_on:
        raise click.ClickException("no checksums are recorded: set path in the section [catalogue]")
    settings = as_owner(settings, [], settings.catalogue.files())
    require_writable(settings, [], settings.catalogue.files())
    store = create_stores(settings)[name]

    async def work() -> int:
        from was_daemon.catalogue.catalogue import open_catalogue
        from was_daemon.cli.report import Report
        from was_daemon.jobs.verify import Verifier

        report = Report(as_json)
        catalogue = open_catalogue(settings.catalogue)
        try:
            await catalogue.catch_up()
            await _verify(Verifier(name, store, catalogue, report), directories, parallel, record)
            await catalogue.move_all()
        finally:
            await close(store)
            await catalogue.close()
            report.end(_WORDS)
        return 1 if any(report.counts[word] for word in _FAILURES) else 0

    run(work)


async def _verify(verifier: "Verifier", directories: Sequence[str], parallel: int, record: bool) -> None:
    from was_daemon.cli.progress import for_each_with_bar
    from was_daemon.jobs.traverse import require_answer
    from was_daemon.model.interfaces import IUnlisted

    await require_directory(verifier.store)
    # A store that is down has lost nothing.
    await require_answer(verifier.store, directories)
    await for_each_with_bar("Recorded", lambda: verifier.recorded(directories), parallel, verifier.compare)
    await verifier.note()
    if IUnlisted.providedBy(verifier.store):
        click.echo(
            f"The store {verifier.name} cannot list what it has: was-daemon catalogue rebuild --names FILE records "
            "what is not recorded yet",
            err=True,
        )
        return
    step = verifier.record if record else verifier.count
    await for_each_with_bar("Not recorded", lambda: verifier.unrecorded(directories), parallel, step)
