"""The option `--names`: names of originals, for stores that cannot list what they have."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from was_daemon.catalogue.database import CatalogueDatabase
    from was_daemon.config.settings import Settings
    from was_daemon.model.interfaces import IAssetStore
    from was_daemon.stores.layers.named import Names

CATALOGUE, SPECIFY = "catalogue", "specify"

names_option = click.option(
    "--names",
    metavar="FILE",
    help="The names of the originals, for a store that cannot list them: a file with a name in each line, or an export "
    f'of Specify\'s attachments; or "{CATALOGUE}" or "{SPECIFY}", for what is known there.',
)


def check_names(settings: "Settings", given: str | None, directories: Sequence[str]) -> None:
    """Raise `ClickException` when there is no such source of names, or it has no names of these collections."""
    if given is None:
        return
    if given in (CATALOGUE, SPECIFY):
        if not settings.catalogue.is_on:
            raise click.UsageError(f"--names {given}: there is no catalogue: set path in the section [catalogue]")
        if given == SPECIFY and not settings.specify:
            raise click.UsageError("--names specify: there is no [specify.NAME] in the configuration")
        return
    if not Path(given).is_file():
        raise click.BadParameter(f"there is no file {given}", param_hint="--names")
    if len(directories) > 1:
        raise click.UsageError("--names: name the collection whose files these are with --collection")


def files_behind(settings: "Settings", given: str | None) -> list[Path]:
    """Return the files that are written to when these names are read."""
    return settings.catalogue.files() if given in (CATALOGUE, SPECIFY) else []


def require_names(stores: "Iterable[tuple[str, IAssetStore]]", given: str | None) -> None:
    """Raise `ClickException` for a store that cannot list what it has, if no names are given."""
    from was_daemon.model.interfaces import IUnlisted

    for name, store in stores:
        if given is None and IUnlisted.providedBy(store):
            raise click.UsageError(
                f"the store {name} cannot list what it has: give the names with --names {CATALOGUE}, "
                f"--names {SPECIFY} or --names FILE"
            )


async def require_reading(database: "CatalogueDatabase", names: Iterable[str]) -> float:
    """Fire with the Unix time since when all of these databases of Specify are known; raise `StoreUnavailable`."""
    from was_daemon.model.errors import StoreUnavailable
    from was_daemon.specify.records import last_reading

    at = time.time()
    for name in names:
        reading = await database.read(last_reading, name)
        if reading is None:
            raise StoreUnavailable(f"specify.{name} was never read: was-daemon specify read {name} --records FILE")
        at = min(at, reading.at)
    return at


@asynccontextmanager
async def listed(
    settings: "Settings", store: "IAssetStore", given: str | None, directories: Sequence[str]
) -> "AsyncIterator[IAssetStore]":
    """Provide a store that lists the names that were `given`, or `store` itself without; see `opened_names`."""
    from was_daemon.stores.layers.named import named

    async with opened_if_given(settings, given, directories) as names:
        yield named(store, names) if names else store


@asynccontextmanager
async def opened_if_given(
    settings: "Settings", given: str | None, directories: Sequence[str]
) -> "AsyncIterator[Names | None]":
    """Provide the names that were `given`, or None without; see `opened_names`."""
    if given is None:
        yield None
        return
    async with opened_names(settings, given, directories) as names:
        yield names


@asynccontextmanager
async def opened_names(settings: "Settings", given: str, directories: Sequence[str]) -> "AsyncIterator[Names]":
    """Provide the names that were `given`, for as long as the context lasts.

    Raises `StoreUnavailable` if there is none in any of these directories: most likely something else was meant.
    """
    if given not in (CATALOGUE, SPECIFY):
        names: Names = partial(names_in_file, Path(given))
        await _require_some(names, directories, f"{given} has no names")
        yield names
        return
    from was_daemon.catalogue.catalogue import open_catalogue
    from was_daemon.catalogue.names import IN_SPECIFY, RECORDED, known_names

    catalogue = open_catalogue(settings.catalogue)
    try:
        await catalogue.catch_up()
        if given == SPECIFY:
            await require_reading(catalogue.database, settings.specify)
        tables = [RECORDED if given == CATALOGUE else IN_SPECIFY]
        names = partial(known_names, catalogue.database, tables, list(settings.stores))
        await _require_some(names, directories, f"--names {given}: no names of these collections are known there")
        yield names
    finally:
        await catalogue.close()


async def _require_some(names: "Names", directories: Sequence[str], problem: str) -> None:
    from was_daemon.model.errors import StoreUnavailable

    for directory in directories:
        async with aclosing(names(directory)) as found:
            async for _ in found:
                return
    raise StoreUnavailable(problem)


async def names_in_file(path: Path, _directory: str) -> AsyncGenerator[str, None]:
    """Yield the names in an export of Specify's attachments, or in the lines of another file, each name once."""
    seen: set[str] = set()
    async with aclosing(_all_names_in(path)) as names:
        async for name in names:
            if name not in seen:
                seen.add(name)
                yield name


async def _all_names_in(path: Path) -> AsyncGenerator[str, None]:
    from was_daemon.specify.export import Export, NoHeader

    export = Export(path)
    try:
        await export.load()
        async for page in export.pages():
            for row in page.rows:
                if row.location and row.location.strip():
                    yield row.location
        return
    except NoHeader:
        pass
    finally:
        await export.close()
    with path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                yield line.rstrip("\r\n")
