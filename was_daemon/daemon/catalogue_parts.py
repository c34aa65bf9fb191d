"""Parts that need the catalogue, as settings describe them.

They are imported only where there is one: SQLAlchemy takes time and memory.
"""

import secrets
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from was_daemon.config.process_share import ProcessShare
from was_daemon.config.settings import Settings
from was_daemon.daemon.reusable_parts import ReusableParts
from was_daemon.library.collections import Collections
from was_daemon.library.spool import Spool
from was_daemon.library.visibility import KEY_BYTES, Visibility
from was_daemon.model.interfaces import IAssetStore, IUnlisted
from was_daemon.stores.layers.named import named
from was_daemon.telemetry.metrics import Metrics
from was_daemon.workers.pool import WorkerPool

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue
    from was_daemon.catalogue.finder import Finder
    from was_daemon.catalogue.visibility_refresh import VisibilityRefresh
    from was_daemon.jobs.describe import Describer
    from was_daemon.jobs.fixity.fixity import Fixity

_POLL_SECONDS, _POLL_SECONDS_OF_SEVERAL = 60.0, 5.0
"""Seconds after which is looked for originals that others have recorded: commands and other daemons, or processes."""


def catalogue_of(settings: Settings, parts: ReusableParts) -> "Catalogue | None":
    """Return the catalogue, None without one."""
    chosen = settings.catalogue
    if not chosen.is_on:
        return None
    from was_daemon.catalogue.catalogue import open_catalogue

    return parts.take("catalogue", chosen, lambda: open_catalogue(chosen))


def with_names(
    stores: Mapping[str, IAssetStore], catalogue: "Catalogue | None", parts: ReusableParts
) -> dict[str, IAssetStore]:
    """Return the stores, of which those that list no originals list those that the catalogue has names of."""
    return {name: _with_names(name, store, catalogue, parts) for name, store in stores.items()}


def _with_names(name: str, store: IAssetStore, catalogue: "Catalogue | None", parts: ReusableParts) -> IAssetStore:
    if not catalogue or not IUnlisted.providedBy(store):
        return store
    from was_daemon.catalogue.names import IN_SPECIFY, RECORDED, known_names

    names = partial(known_names, catalogue.database, [RECORDED, IN_SPECIFY], [name])
    return parts.take(f"names in {name}", (store, catalogue), lambda: named(store, names))


def visibility_of(
    settings: Settings, process: ProcessShare, catalogue: "Catalogue | None", parts: ReusableParts
) -> "VisibilityRefresh | None":
    """Return the refreshing of what is private; None where all or nothing needs a token."""
    path = settings.catalogue.visibility_path
    if not settings.server.tells_private or not catalogue or not path:
        return None
    from was_daemon.catalogue.visibility_refresh import VisibilityRefresh

    hides_unknown, database = settings.visibility.unknown == "private", catalogue.database

    def refresh() -> VisibilityRefresh:
        visibility = Visibility(secrets.token_bytes(KEY_BYTES), hides_unknown)
        return VisibilityRefresh(visibility, database, path, saves=process.is_first)

    return parts.take("visibility", (settings.catalogue, hides_unknown), refresh)


def finder_of(settings: Settings, catalogue: "Catalogue | None") -> "Finder | None":
    """Return the search in the catalogue; None without one."""
    if not catalogue:
        return None
    from was_daemon.catalogue.finder import REQUEST_SECONDS, Finder

    return Finder(catalogue, settings.collections.directories, REQUEST_SECONDS)


def describer_of(
    catalogue: "Catalogue | None",
    stores: Mapping[str, IAssetStore],
    spool: Spool,
    pool: WorkerPool,
    process: ProcessShare,
) -> "Describer | None":
    """Return the describing of originals in the background, for the first of several processes; None for others."""
    if not catalogue or not process.is_first:
        return None
    from was_daemon.jobs.describe import Describer
    from was_daemon.jobs.facts import FactsReader

    poll_seconds = _POLL_SECONDS if process.count == 1 else _POLL_SECONDS_OF_SEVERAL
    return Describer(catalogue, stores, spool, FactsReader(pool), poll_seconds)


def fixity_of(
    settings: Settings,
    stores: Mapping[str, IAssetStore],
    collections: Collections,
    catalogue: "Catalogue | None",
    metrics: Metrics,
) -> "Fixity | None":
    """Return the checking of fixity; None without a catalogue."""
    if not catalogue:
        return None
    from was_daemon.jobs.fixity.fixity import Fixity
    from was_daemon.jobs.fixity.state import Plan

    fixity = settings.fixity
    plan = Plan(fixity.every, fixity.rate) if fixity.every else None
    return Fixity(catalogue, stores, collections, plan, metrics)
