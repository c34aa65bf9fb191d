"""Assembly of the components that settings describe."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from was_daemon.assets import Assets
from was_daemon.catalogue.recorder import Recorder
from was_daemon.config.process_share import ProcessShare
from was_daemon.config.settings import Settings
from was_daemon.daemon.catalogue_parts import (
    catalogue_of,
    describer_of,
    finder_of,
    fixity_of,
    visibility_of,
    with_names,
)
from was_daemon.daemon.components import Components
from was_daemon.daemon.gallery import holdings_of
from was_daemon.daemon.process_state import ProcessState
from was_daemon.daemon.reusable_parts import ReusableParts
from was_daemon.daemon.specify import specify_readers
from was_daemon.daemon.stores import build_stores
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.kinds import DerivativeKind
from was_daemon.derivatives.pyramids import EvictablePyramids, Pyramid, PyramidKind
from was_daemon.derivatives.thumbnails import EvictableThumbnails, Thumbnail, ThumbnailKind
from was_daemon.derivatives.views import Views
from was_daemon.derivatives.warming import Warmer
from was_daemon.derivatives.zoom import Zoom
from was_daemon.health.overview import OverviewSource, overview_source
from was_daemon.jobs.trash import TrashKeeper
from was_daemon.library.collections import Collections, Place
from was_daemon.library.image_servers import ImageServers
from was_daemon.library.redirects import Redirects, StoreRedirects
from was_daemon.library.spool import Spool
from was_daemon.library.trash.removal import TrashRemoval
from was_daemon.library.trash.trash import Trash, TrashRules
from was_daemon.model.composition import written_part
from was_daemon.model.interfaces import IAssetStore, IPreviews, IThumbnails
from was_daemon.telemetry.metrics import Metrics
from was_daemon.web.access import AccessRules
from was_daemon.web.addresses import Addresses
from was_daemon.web.caching import CacheRules
from was_daemon.web.contract.image_records import ImageRecords
from was_daemon.web.contract.pending_uploads import UploadLimits
from was_daemon.web.contract.routes import AssetServer
from was_daemon.web.iiif.answers import Documents
from was_daemon.web.iiif.limits import Limits
from was_daemon.web.iiif.presentation import Presentation
from was_daemon.web.iiif.routes import ImageServer
from was_daemon.web.keyring import Keyring
from was_daemon.web.viewer.files import installed_files
from was_daemon.web.viewer.routes import Viewer
from was_daemon.workers.pool import WorkerPool

if TYPE_CHECKING:
    from was_daemon.catalogue.visibility_refresh import VisibilityRefresh

_LARGEST_PENDING = 4
"""Number of largest uploads that fit into the default of `limits.pending_size`."""


def build(settings: Settings, state: ProcessState, before: Components | None = None) -> Components:
    """Return the components that `settings` describe, not started yet, with the parts of `before` that fit.

    Raises `ConfigError` when a store cannot do what is asked of it.
    """
    locks, metrics, process = state.locks, state.metrics, state.process
    settings = process.settings(settings)
    parts = ReusableParts(before.parts if before else None)
    catalogue = catalogue_of(settings, parts)
    stores = with_names(build_stores(settings, parts, metrics), catalogue, parts)
    collections = collections_in(settings, stores)
    spool, pool = _spool(settings, state, parts), _pool(settings, metrics, parts)
    evictor = _evictor(settings, collections, parts)
    limits = settings.thumbnails
    pyramids = PyramidKind(limits.max_pixels, _pyramid_evictor(settings, collections, parts))
    kinds: list[DerivativeKind[Any]] = [ThumbnailKind(limits.max_pixels, limits.max_scale, evictor), pyramids]
    derivatives = Derivatives(collections, locks, spool, pool, kinds)
    views = parts.take("views", spool, lambda: Views(spool))
    zoom = Zoom(collections, derivatives, pyramids, spool, views, pool)
    redirects = _redirects(settings, collections, stores)
    specify = specify_readers(settings, collections, catalogue, process, parts)
    assets = Assets(
        collections,
        derivatives,
        locks,
        spool,
        pool,
        settings.server.overwrite,
        Warmer(derivatives, [[Thumbnail(scale) for scale in limits.warm], [Pyramid()] if settings.zoom.warm else []]),
        metrics=metrics,
        recorder=Recorder(catalogue),
        quotas=state.quotas,
        redirects=redirects,
        captions=catalogue.captions if catalogue else None,
        trash=Trash(trash_rules(settings)),
    )
    finder = finder_of(settings, catalogue)
    overview = overview_source(state.health, state.recent, pool, process)
    refresh = visibility_of(settings, process, catalogue, parts)
    image_records = ImageRecords(finder) if finder else None
    resource = _server(settings, assets, zoom, redirects, process, refresh, overview, metrics, image_records).resource()
    return Components(
        settings,
        state,
        parts,
        stores,
        collections,
        spool,
        views,
        pool,
        evictor,
        catalogue,
        specify,
        refresh,
        fixity_of(settings, stores, collections, catalogue, metrics),
        derivatives,
        assets,
        resource,
        _trash_keeper(settings, state, collections, stores),
        holdings_of(settings, assets, collections, stores, zoom, catalogue, finder, metrics, resource.active_requests),
        finder,
        describer_of(catalogue, stores, spool, pool, process),
    )


def create_stores(settings: Settings) -> dict[str, IAssetStore]:
    """Return the stores by name, not connected yet; raises `ConfigError` when one cannot do what is asked of it."""
    return build_stores(settings, ReusableParts(), Metrics())


def _spool(settings: Settings, state: ProcessState, parts: ReusableParts) -> Spool:
    path, max_size = settings.spool.path, settings.spool.max_size
    # Two spools in one directory would remove each other's copies, so another size makes no other spool.
    spool = parts.take("spool", path, lambda: Spool(path, max_size, state.metrics, state.process))
    spool.max_size = max_size
    return spool


def _pool(settings: Settings, metrics: Metrics, parts: ReusableParts) -> WorkerPool:
    thumbnails = settings.thumbnails
    limits = thumbnails.workers, thumbnails.timeout, thumbnails.memory, thumbnails.queue
    return parts.take("workers", limits, lambda: WorkerPool(*limits, metrics))


def _evictor(settings: Settings, collections: Collections, parts: ReusableParts) -> Evictor | None:
    max_size = settings.thumbnails.max_size
    if not max_size:
        return None
    origin = max_size, frozenset(collections.local_derivative_stores())
    evictor = parts.take("evictor", origin, lambda: Evictor(collections, max_size, EvictableThumbnails()))
    evictor.collections = collections
    return evictor


def _pyramid_evictor(settings: Settings, collections: Collections, parts: ReusableParts) -> Evictor | None:
    max_size = settings.zoom.max_size
    if not max_size:
        return None
    origin = max_size, frozenset(collections.local_derivative_stores())
    evictor = parts.take("pyramid evictor", origin, lambda: Evictor(collections, max_size, EvictablePyramids()))
    evictor.collections = collections
    return evictor


def trash_rules(settings: Settings) -> TrashRules:
    """Return the rules of the trash that `settings` describe."""
    trash = settings.trash
    return TrashRules(trash.keep is not None, trash.replaced, trash.count_in_quotas)


def _trash_keeper(
    settings: Settings, state: ProcessState, collections: Collections, stores: Mapping[str, IAssetStore]
) -> TrashKeeper | None:
    keep = settings.trash.keep
    if keep is None or not state.process.is_first:
        return None
    return TrashKeeper(collections, stores, TrashRemoval(state.quotas), keep, state.metrics)


def collections_in(settings: Settings, stores: Mapping[str, IAssetStore]) -> Collections:
    """Return the collections that `settings` describe, whose places are in `stores`."""

    def place(directory: str, store: str | None) -> Place:
        name = store or settings.default_store
        thumbnails = stores[settings.thumbnails.store or name]
        return Place(directory, stores[name], _home_of_derivatives(thumbnails), name)

    mode = settings.collections.mode
    named = {name: place(entry.directory, entry.store) for name, entry in settings.collections.map.items()}
    return Collections(place("", None), named if mode == "map" else None, auto=mode == "auto")


def _home_of_derivatives(store: IAssetStore) -> IAssetStore:
    """Return where the derivatives of originals in a store are: in the part of it that takes what is written."""
    makes_all = IThumbnails.providedBy(store) and not IPreviews.providedBy(store)
    return store if makes_all else written_part(store)


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
    settings: Settings,
    assets: Assets,
    zoom: Zoom,
    redirects: Redirects,
    process: ProcessShare,
    refresh: "VisibilityRefresh | None",
    overview: OverviewSource,
    metrics: Metrics,
    image_records: ImageRecords | None,
) -> AssetServer:
    server, collections = settings.server, redirects.collections
    needs_token = server.require_token_for_get
    access = AccessRules(
        collections=collections,
        keyring=_keyring(settings),
        token_window=server.token_window,
        require_token_for_get=bool(needs_token),
        static_access=server.static_access,
        visibility=refresh.visibility if refresh else None,
    )
    addresses = Addresses(server.public_url, server.trusted_proxies)
    largest = Limits(settings.zoom.max_width, settings.zoom.max_height, settings.zoom.max_area)
    # What is public may be private a moment later: then no cache is to show it once more.
    stale = 0 if refresh else server.stale_while_revalidate
    caching = CacheRules(server.max_age, stale, server.token_window, is_private=needs_token is True)
    limits = settings.limits
    documents = Documents(addresses, caching)
    servers, lifetime = ImageServers(collections), settings.zoom.address_lifetime
    pending_size = (limits.pending_size or _LARGEST_PENDING * server.max_upload) // process.count
    return AssetServer(
        assets,
        access,
        addresses,
        UploadLimits(server.max_upload, limits.pending_uploads, max(server.max_upload, pending_size), limits.min_free),
        caching=caching,
        max_scale=settings.thumbnails.max_scale,
        address_lifetime=lifetime,
        hide=partial(refresh.hide, reason="upload") if refresh else None,
        discovery=settings.discovery.elsewhere(),
        overview=overview,
        images=ImageServer(
            zoom,
            access,
            largest,
            servers=servers,
            documents=documents,
            address_lifetime=lifetime,
            metrics=metrics,
            caption=assets.caption,
        ),
        presentation=Presentation(assets, zoom, servers, access, documents, lifetime),
        viewer=Viewer(servers, redirects, access, lifetime, installed_files(), assets.caption),
        image_records=image_records,
    )
