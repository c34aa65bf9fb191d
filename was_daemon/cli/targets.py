"""Stores and collections that a command works on, by their names in the configuration."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings
    from was_daemon.model.interfaces import IAssetStore

collection_option = click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="NAME",
    help="Only this collection; may be repeated. All of them by default.",
)


def create_stores(settings: "Settings") -> "dict[str, IAssetStore]":
    """Return the stores by their names, not connected yet; raise `ClickException` for options that do not fit."""
    from was_daemon.config.load import ConfigError
    from was_daemon.daemon.assembly import create_stores

    try:
        return create_stores(settings)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


async def require_directory(store: "IAssetStore") -> None:
    """Raise `StoreUnavailable` when the store, or a part of it, is in a directory that does not exist.

    Unlike the daemon, a command that reads does not create it: most likely its name is mistyped, or a disk is not
    mounted.
    """
    from was_daemon.model.composition import stores_in
    from was_daemon.model.errors import StoreUnavailable
    from was_daemon.model.interfaces import IRooted

    for part in stores_in(store):
        if IRooted.providedBy(part) and not await IRooted(part).exists():
            raise StoreUnavailable(f"{part}: there is no such directory")


async def close(store: "IAssetStore") -> None:
    """Close a store, and the stores that it is made of."""
    from was_daemon.model.composition import stores_in

    for part in stores_in(store):
        await part.close()


def check_store_name(settings: "Settings", name: str, option: str) -> str:
    """Return `name`; raise `BadParameter` for `option` when no store has that name."""
    if name not in settings.stores:
        raise click.BadParameter(
            f"no store is called {name}; there are {', '.join(settings.stores)}", param_hint=option
        )
    return name


def directories_of(settings: "Settings", names: Sequence[str]) -> list[str]:
    """Return the directories of the collections with these names, or of all collections without names."""
    from was_daemon.model.errors import BadName
    from was_daemon.model.keys import check_directory, check_name

    collections = settings.collections
    if collections.mode == "single":
        if names:
            raise click.UsageError("this server has no collections: leave out --collection")
        return [""]
    if collections.mode == "auto":
        if not names:
            raise click.UsageError('with collections.mode = "auto" name them with --collection')
        try:
            return list(dict.fromkeys(check_directory(check_name(name)) for name in names))
        except BadName as error:
            raise click.UsageError(f"--collection: {error}") from None
    unknown = [name for name in names if name not in collections.map]
    if unknown:
        raise click.UsageError(f"no collection is called {unknown[0]}; there are {', '.join(collections.map)}")
    return list(dict.fromkeys(collections.map[name].directory for name in names or collections.map))
