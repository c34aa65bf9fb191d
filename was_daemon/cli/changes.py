"""Commands that change originals beside a daemon that runs, and share its quotas and its catalogue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from was_daemon.cli.identity import as_owner, require_writable

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings
    from was_daemon.daemon.components import Components


def as_daemon(settings: "Settings") -> "Settings":
    """Go on as the daemon's user, with whom all files that such a command writes to are shared; see `as_owner`."""
    catalogue = settings.catalogue.files() if settings.catalogue.is_on else []
    settings = as_owner(settings, settings.stores, [settings.spool.path, *catalogue])
    require_writable(settings, settings.stores, catalogue)
    return settings


def build_components(settings: "Settings") -> "Components":
    """Return the components of `settings`, not started; raise `ClickException` for settings that do not fit."""
    from was_daemon.config.load import ConfigError
    from was_daemon.daemon.assembly import build
    from was_daemon.daemon.process_state import ProcessState

    try:
        return build(settings, ProcessState.new())
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


@asynccontextmanager
async def opened(components: "Components", is_writing: bool = True) -> AsyncIterator[None]:
    """Use the stores for as long as the context lasts, and close everything then.

    If the command `is_writing`, quotas are kept together with the daemon, and the catalogue learns of changes.
    """
    try:
        if is_writing:
            components.configure_quotas(None)
        yield
    finally:
        await _close(components, is_writing)


async def _close(components: "Components", is_writing: bool) -> None:
    from was_daemon.model.errors import StoreUnavailable

    if components.catalogue and is_writing:
        try:
            await components.catalogue.move_all()
        except StoreUnavailable as error:
            click.echo(f"The journal keeps what has happened: {error}", err=True)
    await components.assets.settled()
    for part in components.closable:
        await part.close()
    await components.state.quotas.close()
