"""Assembly of the components that settings describe."""

from collections.abc import Mapping

from was_daemon.assets import Assets
from was_daemon.catalogue.checksums import Checksums, Recorder
from was_daemon.config.process_number import ProcessNumber
from was_daemon.config.settings import Settings
from was_daemon.daemon.built_stores import build_stores
from was_daemon.daemon.components import Components
from was_daemon.daemon.process_state import ProcessState
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.thumbnails import EvictableThumbnails, ThumbnailKind
from was_daemon.health.overview import OverviewSource, overview_source
from was_daemon.library.collections import Collections, Place
from was_daemon.library.redirects import Redirects, StoreRedirects
from was_daemon.library.spool import Spool
from was_daemon.model.interfaces import IAssetStore
from was_daemon.telemetry.metrics import Metrics
from was_daemon.web.access import AccessRules
from was_daemon.web.addresses import Addresses
from was_daemon.web.contract.pending_uploads import UploadLimits
from was_daemon.web.contract.routes import AssetServer
from was_daemon.web.keyring import Keyring
from was_daemon.workers.pool import WorkerPool

_LARGEST_PENDING = 4
"""How many of the largest uploads may be on their way before their tokens arrive, unless the settings say otherwise."""


def build(settings: Settings, state: ProcessState, before: Components | None = None) -> Components:
    """Return the components that `settings` describe, not started yet, with the parts of `before` that fit.

    Raises `ConfigError` when a store cannot do what is asked of it.
    """
    locks, metrics, process = state.locks, state.metrics, state.process
    settings = process.settings(settings)
    built = build_stores(settings, before.stores if before else {}, metrics)
    stores = {name: each.store for name, each in built.items()}
    collections = _collections(settings, stores)
    spool, pool = _spool(settings, state, before), _pool(settings, metrics, before)
    evictor = _evictor(settings, collections, before)
    limits = settings.thumbnails
    kinds = [ThumbnailKind(limits.max_pixels, limits.max_scale, evictor)]
    derivatives = Derivatives(collections, locks, spool, pool, kinds)
    checksums = _checksums(settings, before)
    assets = Assets(
        collections,
        derivatives,
        locks,
        spool,
        pool,
        settings.server.overwrite,
        limits.warm,
        metrics=metrics,
        recorder=Recorder(checksums),
        quotas=state.quotas,
        redirects=_redirects(settings, collections, stores),
    )
    overview = overview_source(state.health, state.recent, pool, process)
    resource = _server(settings, assets, collections, process, overview).resource()
    return Components(
        settings, state, built, collections, spool, pool, evictor, checksums, derivatives, assets, resource
    )


def create_stores(settings: Settings) -> dict[str, IAssetStore]:
    """Return the stores by name, not connected yet; raises `ConfigError` when one cannot do what is asked of it."""
    return {name: built.store for name, built in build_stores(settings, {}, Metrics()).items()}


def _spool(settings: Settings, state: ProcessState, before: Components | None) -> Spool:
    if not before or before.settings.spool.path != settings.spool.path:
        return Spool(settings.spool.path, settings.spool.max_size, state.metrics, state.process)
    # Two spools in one directory would remove each other's copies.
    before.spool.max_size = settings.spool.max_size
    return before.spool


def _pool(settings: Settings, metrics: Metrics, before: Components | None) -> WorkerPool:
    def limits(settings: Settings) -> tuple[int, float, int, int]:
        thumbnails = settings.thumbnails
        return thumbnails.workers, thumbnails.timeout, thumbnails.memory, thumbnails.queue

    if before and limits(before.settings) == limits(settings):
        return before.pool
    return WorkerPool(*limits(settings), metrics)


def _evictor(settings: Settings, collections: Collections, before: Components | None) -> Evictor | None:
    max_size = settings.thumbnails.max_size
    if not max_size:
        return None
    if before and before.evictor and before.evictor.follow(collections, max_size):
        return before.evictor
    return Evictor(collections, max_size, EvictableThumbnails())


def _checksums(settings: Settings, before: Components | None) -> Checksums | None:
    path = settings.checksums.path
    if before and before.checksums and before.checksums.path == path:
        return before.checksums
    return Checksums(path) if path else None


def _collections(settings: Settings, stores: Mapping[str, IAssetStore]) -> Collections:
    def place(directory: str, store: str | None) -> Place:
        name = store or settings.default_store
        thumbnails = stores[settings.thumbnails.store or name]
        return Place(directory, stores[name], thumbnails, name)

    mode = settings.collections.mode
    named = {name: place(entry.directory, entry.store) for name, entry in settings.collections.map.items()}
    return Collections(place("", None), named if mode == "map" else None, auto=mode == "auto")


def _redirects(settings: Settings, collections: Collections, stores: Mapping[str, IAssetStore]) -> Redirects:
    redirects = {
        stores[name]: StoreRedirects(name, each.redirect, each.redirect if each.redirect_thumbnails else None)
        for name, each in settings.stores.items()
        if each.redirect
    }
    return Redirects(collections, redirects, settings.server.nginx_location)


def _keyring(settings: Settings) -> Keyring:
    own = {name: each.key for name, each in settings.collections.map.items() if each.key}
    server = settings.server
    return Keyring(server.key, own, is_open=server.key is None and server.insecure_no_key)


def _server(
    settings: Settings, assets: Assets, collections: Collections, process: ProcessNumber, overview: OverviewSource
) -> AssetServer:
    server = settings.server
    access = AccessRules(
        collections=collections,
        keyring=_keyring(settings),
        token_window=server.token_window,
        require_token_for_get=server.require_token_for_get,
        static_access=server.static_access,
    )
    addresses = Addresses(server.public_url, server.trusted_proxies)
    limits = settings.limits
    pending_size = (limits.pending_size or _LARGEST_PENDING * server.max_upload) // process.of
    return AssetServer(
        assets,
        access,
        addresses,
        UploadLimits(server.max_upload, limits.pending_uploads, max(server.max_upload, pending_size), limits.min_free),
        max_scale=settings.thumbnails.max_scale,
        overview=overview,
    )
