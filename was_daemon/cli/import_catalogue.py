"""`was-daemon catalogue import`: what the California Academy's server has recorded."""

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from was_daemon.cli.catalogue import require_catalogue
from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.options import config_option, epilog, json_option, load_settings

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings

_BATCH = 500
_GZIP = b"\x1f\x8b"
_WORDS = {
    "imported": "imported",
    "known": "imported before",
    "unrecorded": "not in the catalogue",
    "redacted": "private from now on",
    "elsewhere": "of other collections",
    "unusable": "without a name that can be used",
}

_Row = Mapping[str, Any]
_Place = tuple[str, str]
"""Store and directory of a collection."""


@click.command(
    "import",
    epilog=epilog(
        "was-daemon catalogue import images.sql.gz --collection Botany=Plants --config was.toml",
        "was-daemon catalogue import --url mysql://reader@db/images --password-file secret --config was.toml",
    ),
)
@click.argument("dump", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--url", help="The database, in place of a dump; it is only read.")
@click.option("--password-file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--table", default="images", show_default=True, help="The table.")
@click.option(
    "--collection", "names", multiple=True, metavar="THEIRS=OURS", help="A collection that has another name here."
)
@config_option
@json_option
def import_(
    dump: Path | None,
    url: str | None,
    password_file: Path | None,
    table: str,
    names: tuple[str, ...],
    config: Path | None,
    as_json: bool,
) -> None:
    """Enter what the California Academy's fork of the asset server has recorded, from DUMP or from its database.

    DUMP is what mysqldump writes, also compressed by gzip. Names and paths of files on the clients' side, notes, MD5
    and dates are entered for the originals that are in the catalogue: run `was-daemon catalogue rebuild` before. What
    is redacted becomes private. What the catalogue knows already stays, so the command may be started again.
    """
    from was_daemon.cli.reactor import RESUMED, run

    if (dump is None) == (url is None):
        raise click.UsageError("name either a DUMP or a database with --url")
    settings = load_settings(config)
    require_catalogue(settings)
    settings = as_owner(settings, [], settings.catalogue.files())
    require_writable(settings, [], settings.catalogue.files())
    place_of = _places(settings, names)

    async def work() -> int:
        from twisted.internet.threads import deferToThread

        from was_daemon.catalogue.catalogue import open_catalogue
        from was_daemon.catalogue.mysql_dump import BadDump
        from was_daemon.cli.progress import progress_bar
        from was_daemon.cli.report import Report
        from was_daemon.jobs.import_images import ImageImporter

        report, opened = Report(as_json), open_catalogue(settings.catalogue)
        importer = ImageImporter(opened, place_of, report)
        try:
            await opened.catch_up()
            with ExitStack() as resources, progress_bar("Importing") as bar:
                rows = _rows_of_dump(dump, table, resources) if dump else _rows_of_database(url, password_file, table)
                while batch := await deferToThread(lambda: list(islice(rows, _BATCH))):
                    await importer.enter(batch)
                    for _ in batch:
                        bar.advance()
        except BadDump as error:
            click.echo(f"Error: {dump}: {error}", err=True)
            return 1
        finally:
            await opened.close()
            report.end(_WORDS)
        for name, number in importer.elsewhere.items():
            click.echo(f"{number} of a collection called {name}, which is not here: see --collection", err=True)
        return 0

    run(work, RESUMED)


def _places(settings: "Settings", names: tuple[str, ...]) -> "Callable[[str], _Place | None]":
    """Return what finds the store and the directory of a collection by its name in the table."""
    from was_daemon.model.errors import BadName
    from was_daemon.model.keys import check_directory, check_name

    ours: dict[str, str] = {}
    for each in names:
        theirs, separator, here = each.partition("=")
        if not separator:
            raise click.BadParameter("write THEIRS=OURS", param_hint="--collection")
        ours[theirs] = here
    chosen, default = settings.collections, settings.default_store
    unknown = [here for here in ours.values() if chosen.mode == "map" and here not in chosen.map]
    if unknown:
        raise click.BadParameter(f"no collection is called {unknown[0]}", param_hint="--collection")

    def place_of(name: str) -> _Place | None:
        here = ours.get(name, name)
        if chosen.mode == "single":
            return default, ""
        if chosen.mode == "map":
            found = chosen.map.get(here)
            return (found.store or default, found.directory) if found else None
        try:
            return default, check_directory(check_name(here))
        except BadName:
            return None

    return place_of


def _rows_of_dump(dump: Path, table: str, resources: ExitStack) -> Iterator[_Row]:
    from was_daemon.catalogue.importing import COLUMNS
    from was_daemon.catalogue.mysql_dump import rows_of_dump

    file = resources.enter_context(dump.open("rb"))
    if file.read(len(_GZIP)) == _GZIP:
        file.seek(0)
        unpacked = resources.enter_context(gzip.GzipFile(fileobj=file))
        return rows_of_dump(cast(BinaryIO, unpacked), table, COLUMNS)
    file.seek(0)
    return rows_of_dump(file, table, COLUMNS)


def _rows_of_database(url: str | None, password_file: Path | None, table: str) -> Iterator[_Row]:
    from was_daemon.catalogue.mysql_table import rows_of_table

    return rows_of_table(url or "", password_file.read_text().strip() if password_file else None, table)
