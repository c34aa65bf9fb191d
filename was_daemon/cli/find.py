"""`was-daemon find`: search of the catalogue."""

import csv
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from was_daemon.cli.catalogue import require_catalogue
from was_daemon.cli.identity import as_owner
from was_daemon.cli.options import config_option, epilog, load_settings
from was_daemon.cli.targets import directories_of
from was_daemon.model.moments import shown
from was_daemon.model.sizes import readable

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue
    from was_daemon.model.search import Search

_PIECE = 1 << 20

_COLUMNS: dict[str, tuple[str, ...]] = {
    "assets": (
        *("collection", "name", "size", "media_type", "width", "height", "pages", "captured", "latitude", "longitude"),
        *("stored", "file_name", "file_path", "notes", "address", "redacted", "sha256", "md5", "file_md5", "store"),
    ),
    "events": (
        *("at", "kind", "collection", "name", "size", "file_name", "file_path", "notes", "address"),
        *("sha256", "md5", "file_md5", "store"),
    ),
}
_MOMENTS = ("stored", "at")
"""Columns that are Unix times."""

_Rows = AsyncGenerator[dict[str, Any], None]


@click.command(
    epilog=epilog(
        'was-daemon find "IMG_8*.jpg" --captured 2024-05..2024-06 --config was.toml',
        "was-daemon find --file ~/scans/fish.tif --config was.toml",
    )
)
@click.argument("name", required=False)
@click.option("--file-name", metavar="TEXT", help="The client's own name of the file.")
@click.option("--file-path", metavar="TEXT", help="The path of the file on the client's side, where it was told.")
@click.option("--file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Do we have this file?")
@click.option("--sha256", metavar="HEX", help="The SHA-256 of the file.")
@click.option("--md5", metavar="HEX", help="The MD5 of the file, or of the one that the client has converted.")
@click.option("--type", "media_type", metavar="TYPE", help='The media type, or its beginning, such as "image/".')
@click.option("--captured", metavar="DATES", help='When it was taken: "2024-05", or "2023..2024-05-31".')
@click.option("--stored", metavar="DATES", help="When it was uploaded, in this machine's time zone.")
@click.option("--size", metavar="SIZES", help='Such as "10 MB..2 GB", or "..100 kB".')
@click.option("--near", metavar="PLACE", help='Latitude, longitude and distance: "12.11,-68.93,5 km".')
@click.option("--box", metavar="PLACE", help='South, west, north and east: "12.0,-69.2,12.4,-68.7".')
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--history", is_flag=True, help="What has happened to NAME, which may be deleted by now.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(0), help="List no more; 0 lists all.")
@config_option
@click.option("--json", "form", flag_value="json", help="Print one JSON object a line.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
def find(
    name: str | None,
    file: Path | None,
    media_type: str | None,
    collections: tuple[str, ...],
    history: bool,
    limit: int,
    config: Path | None,
    form: str | None,
    **asked: str | None,
) -> None:
    """List the originals that the catalogue has, by NAME or by what is known of them.

    In names and paths * stands for any characters and ? for one. Upper and lower case are the same, accents matter: É
    is é, and not e. All that is asked for has to be true. The list is in the order of the first of these that is asked
    for: name, place, date, size, type. With nothing to list the exit status is 1.
    """
    from was_daemon.cli.reactor import run

    settings = load_settings(config)
    require_catalogue(settings)
    settings = as_owner(settings, [], settings.catalogue.files())
    texts = {field: text for field, text in ({"name": name, "type": media_type} | asked).items() if text is not None}
    if history and texts.keys() != {"name"}:
        raise click.UsageError("--history is about one NAME, and goes with --collection only")
    if file:
        texts["sha256"] = _sha256(file, texts.get("sha256"))
    directories = tuple(directories_of(settings, collections)) if collections else None
    search = _search(texts, directories)

    async def work() -> int:
        from was_daemon.catalogue.catalogue import open_catalogue
        from was_daemon.catalogue.finder import Finder

        opened = open_catalogue(settings.catalogue)
        try:
            await _move_events(opened)
            finder = Finder(opened, settings.collections.directories)
            rows = finder.each_event(name or "", directories) if history else finder.each(search)
            return await _print(rows, limit, _writer(form, "events" if history else "assets"))
        finally:
            await opened.close()

    run(work)


async def _move_events(catalogue: "Catalogue") -> None:
    """Record what waits in the journal, as after a command that was killed while no daemon ran."""
    from was_daemon.model.errors import StoreUnavailable

    try:
        await catalogue.move_all()
    except StoreUnavailable as error:
        # A disk that is full can be read.
        click.echo(f"The latest changes are left out: {error.reason or error}", err=True)


def _sha256(file: Path, other: str | None) -> str:
    """Return the SHA-256 of a file, which is not to be asked for in another way."""
    from was_daemon.model.digests import Hasher

    if other:
        raise click.UsageError("--file and --sha256 ask for the same")
    hasher = Hasher()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            hasher.update(piece)
    return hasher.digest.sha256


def _search(texts: dict[str, str], directories: tuple[str, ...] | None) -> "Search":
    from was_daemon.model.search_texts import BadSearch, parse_search

    try:
        return parse_search(texts, directories)
    except BadSearch as error:
        raise click.UsageError(str(error)) from None


async def _print(rows: _Rows, limit: int, write: Callable[[dict[str, Any]], None]) -> int:
    """Print rows; fire with the exit status."""
    count = 0
    async with aclosing(rows):
        async for row in rows:
            if limit and count == limit:
                click.echo(f"There are more than {limit}: see --limit.", err=True)
                break
            write(row)
            count += 1
    if not count:
        click.echo("Nothing was found.", err=True)
    return 0 if count else 1


def _writer(form: str | None, kind: str) -> Callable[[dict[str, Any]], None]:
    """Return what prints a row."""
    if form == "json":
        return lambda row: click.echo(json.dumps(row, ensure_ascii=False))
    if form == "csv":
        table = csv.DictWriter(sys.stdout, _COLUMNS[kind])
        table.writeheader()
        return lambda row: table.writerow(row | {name: shown(row[name]) for name in _MOMENTS if name in row})
    line = _event_line if kind == "events" else _asset_line
    return lambda row: click.echo("".join(each if each.isprintable() else "\ufffd" for each in line(row)))


def _asset_line(row: dict[str, Any]) -> str:
    pixels = f"{row['width']} x {row['height']}" if row["width"] else ""
    size = readable(row["size"]) if row["size"] is not None else ""
    parts = (
        f"{shown(row['stored']):<19}  {size:>10}  {row['media_type'] or '':<16}  {pixels:>13}  "
        f"{row['captured'] or '':<19}  {_path(row)}"
    )
    return parts + (f"  ({row['file_name']})" if row["file_name"] else "")


def _event_line(row: dict[str, Any]) -> str:
    size = readable(row["size"]) if row["size"] is not None else ""
    origin = "  ".join(row[name] for name in ("file_name", "address") if row[name])
    line = f"{shown(row['at']):<19}  {row['kind']:<8}  {size:>10}  {(row['sha256'] or '')[:16]:<16}  {_path(row)}"
    return f"{line}  {origin}".rstrip()


def _path(row: dict[str, Any]) -> str:
    return f"{row['collection']}/{row['name']}" if row["collection"] else row["name"]
