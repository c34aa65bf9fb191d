"""Looks at what a daemon uses, by somebody who is not that daemon: nothing is made that is missing."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from was_daemon.health.directories import check_database, check_spool

if TYPE_CHECKING:
    from pathlib import Path

    from was_daemon.config.catalogue_settings import CatalogueSettings
    from was_daemon.config.settings import Settings
    from was_daemon.specify.database import SpecifyDatabase

Look = Callable[[], Awaitable[None]]
"""A function that raises `StoreUnavailable` when something cannot be used."""


def file_looks(settings: "Settings") -> "dict[str, tuple[object, Look]]":
    """Return where the spool, the catalogue and its journal are, and a look at each, by name."""
    catalogue = settings.catalogue
    spool, journal = settings.spool.path, catalogue.journal_path
    looks: dict[str, tuple[object, Look]] = {"spool": (spool, partial(look_at_spool, spool))}
    if journal:
        looks["catalogue"] = (catalogue.path or catalogue.url, partial(look_at_catalogue, catalogue))
        looks["journal"] = (journal, partial(look_at_journal, journal))
    return looks


async def look_at_spool(path: "Path") -> None:
    """Raise `StoreUnavailable` if the daemon cannot use the spool."""
    check_spool(path)


async def look_at_journal(path: "Path") -> None:
    """Raise `StoreUnavailable` if the journal is there, and nothing can be entered in it."""
    from was_daemon.catalogue.journal import Journal

    if check_database(path, "catalogue"):
        journal = Journal(path)
        try:
            await journal.check()
        finally:
            await journal.close()


async def look_at_catalogue(settings: "CatalogueSettings") -> None:
    """Raise `StoreUnavailable` if the catalogue is there, and cannot be written to."""
    from was_daemon.catalogue.catalogue import open_catalogue

    if settings.path and not check_database(settings.path, "catalogue"):
        return
    catalogue = open_catalogue(settings)
    try:
        await catalogue.check()
    finally:
        await catalogue.close()


async def look_at_specify(database: "SpecifyDatabase") -> tuple[int, list[str]]:
    """Fire with the number of attachments in a database of Specify, and the columns that are not there; close it.

    Raises `StoreUnavailable`.
    """
    try:
        async with database.snapshot() as snapshot:
            return (await snapshot.sums()).rows, snapshot.missing
    finally:
        await database.close()
