"""The daemon's parts, built from settings and nothing else.

A reload builds a new graph. It takes over the parts whose settings are the same; requests under way finish on the
graph they began with, and a part is closed when no graph that lives has it.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.assets import Assets
from was_daemon.catalogue.checksums import Checksums, Recorder
from was_daemon.concurrency.exclusion import Exclusion
from was_daemon.concurrency.locks import KeyLocks
from was_daemon.config.settings import Settings
from was_daemon.config.share import Share
from was_daemon.daemon.built_stores import BuiltStore, build_stores
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.thumbnails import EvictableThumbnails, ThumbnailKind
from was_daemon.health.checks import Health
from was_daemon.health.overview import OverviewSource, overview_source
from was_daemon.httpd.limits import ConnectionLimits
from was_daemon.library.collections import Collections, Place
from was_daemon.library.counts import Counts, Home
from was_daemon.library.ledger import Account, Ledger
from was_daemon.library.quotas import Quotas
from was_daemon.library.redirects import Redirects, StoreRedirects
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IPresence, IRooted, IUnfinished
from was_daemon.model.keys import AssetKey
from was_daemon.telemetry.metrics import Metrics, show
from was_daemon.telemetry.recent import RecentTrouble
from was_daemon.web.access import AccessRules
from was_daemon.web.addresses import Addresses
from was_daemon.web.contract.pending_uploads import UploadLimits
from was_daemon.web.contract.resource import AssetResource
from was_daemon.web.contract.routes import AssetServer
from was_daemon.web.keyring import Keyring
from was_daemon.workers.pool import WorkerPool

_log = Logger()

_INSTANCES = "instances"
"""The directory in the spool by which processes know what others left unfinished at remote stores."""

_LARGEST_PENDING = 4
"""How many of the largest uploads may be on their way before their tokens arrive, unless the settings say otherwise."""


@attrs.frozen(eq=False)
class Lasting:
    """State of the process that outlives every graph.

    The locks are part of it because an upload that began under other settings and a delete exclude each other, too.
    """

    metrics: Metrics
    health: Health
    recent: RecentTrouble
    quotas: Quotas
    share: Share
    exclusion: Exclusion | None
    overview: Callable[[OverviewSource], OverviewSource]
    locks: KeyLocks[AssetKey] = attrs.field(factory=KeyLocks)

    @classmethod
    def new(
        cls,
        share: Share | None = None,
        exclusion: Exclusion | None = None,
        overview: Callable[[OverviewSource], OverviewSource] = lambda own: own,
        account: Callable[[Callable[[], Ledger]], Account] = lambda open_: open_(),
    ) -> "Lasting":
        """For a process that begins; of several it has its `share`, and `overview` makes the overview of all.

        `account` gives that with the process which counts collections, of what opens one with this process.
        """
        metrics, share = Metrics(), share or Share()
        counts = Counts(metrics)
        quotas = Quotas(account(counts.ledger), counts if share.is_first else None, exclusion)
        health = Health(metrics, quotas)
        return cls(metrics, health, RecentTrouble(metrics), quotas, share, exclusion, overview)


@attrs.frozen(eq=False)
class Graph:
    """The parts of the daemon as one version of its settings describes them."""

    settings: Settings
    lasting: Lasting
    stores: Mapping[str, BuiltStore]
    collections: Collections
    spool: Spool
    pool: WorkerPool
    evictor: Evictor | None
    checksums: Checksums | None
    derivatives: Derivatives
    assets: Assets
    resource: AssetResource

    @property
    def connection_limits(self) -> ConnectionLimits:
        """The limits on connections, as the settings have them."""
        limits = self.settings.limits
        return ConnectionLimits(
            limits.connections_per_address, limits.header_timeout, limits.idle_timeout, limits.min_rate
        )

    @property
    def parts(self) -> list[WorkerPool | IAssetStore | Spool | Checksums]:
        """The parts to close, in this order."""
        checksums = [self.checksums] if self.checksums else []
        return [self.pool, *(built.store for built in self.stores.values()), self.spool, *checksums]

    def start(self, before: "Graph | None" = None) -> None:
        """Check what is new since the graph `before`, and remove what a killed process left; requests do not wait."""
        self._show()
        known = before.stores if before else {}
        for name, built in self.stores.items():
            if built is not known.get(name):
                step = partial(_begin_with, built.store, self.collections, self.spool, self.lasting.share)
                _begin(f"Store {name}", step)
            elif IRooted.providedBy(built.store):
                _begin(f"Store {name}", partial(_accept, built.store, self.collections, self.lasting.share))
        if not before or self.spool is not before.spool:
            _begin("The spool", self.spool.start)
        Deferred.fromCoroutine(self.derivatives.start(before.derivatives if before else None))
        self.lasting.quotas.follow(self._homes(), self.settings.collections.recount)

    def _homes(self) -> dict[str, Home]:
        """The collections with a quota."""
        default = self.settings.default_store
        return {
            name: Home(self.stores[each.store or default].store, each.directory, each.quota)
            for name, each in self.settings.collections.map.items()
            if each.quota is not None
        }

    def _show(self) -> None:
        """Have the metrics and the health be those of this graph."""
        metrics, pool = self.lasting.metrics, self.pool
        show(metrics.jobs_waiting, lambda: pool.waiting(background=False), lane="requests")
        show(metrics.jobs_waiting, lambda: pool.waiting(background=True), lane="background")
        show(metrics.jobs_running, lambda: pool.running)
        show(metrics.workers, lambda: pool.busy, state="busy")
        show(metrics.workers, lambda: pool.idle, state="idle")
        show(metrics.workers, lambda: pool.lost, state="lost")
        show(metrics.spool_bytes, lambda: self.spool.size)
        stores = {name: built.store for name, built in self.stores.items()}
        settings = self.settings
        self.lasting.health.follow(stores, pool, self.spool, settings.limits.min_free, settings.weak_keys)


async def settle(store: IAssetStore, spool: Spool) -> None:
    """Have later processes with the same spool recognise what this one leaves unfinished at a remote store."""
    if IUnfinished.providedBy(store):
        try:
            await IUnfinished(store).settle(await spool.directory(_INSTANCES))
        except AssetError as error:
            _log.error("{store}: what is left unfinished there stays for a day: {error}", store=store, error=error)


async def _begin_with(store: IAssetStore, collections: Collections, spool: Spool, share: Share) -> int:
    """Settle at a store, check it, and remove what killed processes left in it; returns how many files."""
    await settle(store, spool)
    removed = await _look_at(store, collections, share)
    return removed + (await IUnfinished(store).clean() if IUnfinished.providedBy(store) else 0)


async def _look_at(store: IAssetStore, collections: Collections, share: Share) -> int:
    """Check a store, and remove what a killed process left in it; returns how many files."""
    await store.check()
    if IRooted.providedBy(store):
        await IRooted(store).accept(collections.directories(store))
    if not share.is_first:  # what is to be said of the store is said once
        return 0
    if IPresence.providedBy(store):
        others = await IPresence(store).announce()
        if others:
            _log.info("{others} uses {store}, too", others=" and ".join(others), store=store)
    if not ILocalFiles.providedBy(store):
        return 0
    return await ILocalFiles(store).clean(collections.directories(store))


async def _accept(store: IAssetStore, collections: Collections, share: Share) -> int:
    """Take a store's directory as it is now: whoever has put another in its place has the daemon reloaded."""
    if not await IRooted(store).accept(collections.directories(store)):
        return 0
    _log.warn("{store}: the directory is another than before, and in use from now on", store=store)
    return await _look_at(store, collections, share)


def _begin(what: str, step: Callable[[], Awaitable[int]]) -> None:
    async def prepare() -> None:
        try:
            removed = await step()
        except AssetError as error:
            _log.error("{what}: {error}", what=what, error=error)
        else:
            if removed:
                _log.info("{what}: removed {removed} unfinished files", what=what, removed=removed)

    Deferred.fromCoroutine(prepare())


def build(settings: Settings, lasting: Lasting, before: Graph | None = None) -> Graph:
    """The graph that `settings` describe, in this process's share, not started yet, with parts of `before` that fit.

    Raises `ConfigError` when a store cannot do what is asked of it.
    """
    locks, metrics, share = lasting.locks, lasting.metrics, lasting.share
    settings = share.settings(settings)
    built = build_stores(settings, before.stores if before else {}, metrics)
    stores = {name: each.store for name, each in built.items()}
    collections = _collections(settings, stores)
    spool, pool = _spool(settings, lasting, before), _pool(settings, metrics, before)
    evictor = _evictor(settings, collections, before)
    limits = settings.thumbnails
    kinds = [ThumbnailKind(limits.max_pixels, limits.max_scale, evictor)]
    derivatives = Derivatives(collections, locks, spool, pool, kinds, lasting.exclusion)
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
        quotas=lasting.quotas,
        redirects=_redirects(settings, collections, stores),
    )
    overview = lasting.overview(overview_source(lasting.health, lasting.recent, pool))
    resource = _server(settings, assets, collections, share, overview).resource()
    return Graph(settings, lasting, built, collections, spool, pool, evictor, checksums, derivatives, assets, resource)


def create_stores(settings: Settings) -> dict[str, IAssetStore]:
    """The stores, not connected yet; raises `ConfigError` when one cannot do what is asked of it."""
    return {name: built.store for name, built in build_stores(settings, {}, Metrics()).items()}


def _spool(settings: Settings, lasting: Lasting, before: Graph | None) -> Spool:
    if not before or before.settings.spool.path != settings.spool.path:
        return Spool(settings.spool.path, settings.spool.max_size, lasting.metrics, lasting.share)
    # Two spools in one directory would remove each other's copies.
    before.spool.max_size = settings.spool.max_size
    return before.spool


def _pool(settings: Settings, metrics: Metrics, before: Graph | None) -> WorkerPool:
    def limits(settings: Settings) -> tuple[int, float, int, int]:
        thumbnails = settings.thumbnails
        return thumbnails.workers, thumbnails.timeout, thumbnails.memory, thumbnails.queue

    if before and limits(before.settings) == limits(settings):
        return before.pool
    return WorkerPool(*limits(settings), metrics)


def _evictor(settings: Settings, collections: Collections, before: Graph | None) -> Evictor | None:
    max_size = settings.thumbnails.max_size
    if not max_size:
        return None
    if before and before.evictor and before.evictor.follow(collections, max_size):
        return before.evictor
    return Evictor(collections, max_size, EvictableThumbnails())


def _checksums(settings: Settings, before: Graph | None) -> Checksums | None:
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
    settings: Settings, assets: Assets, collections: Collections, share: Share, overview: OverviewSource
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
    pending_size = (limits.pending_size or _LARGEST_PENDING * server.max_upload) // share.of
    return AssetServer(
        assets,
        access,
        addresses,
        UploadLimits(server.max_upload, limits.pending_uploads, max(server.max_upload, pending_size), limits.min_free),
        max_scale=settings.thumbnails.max_scale,
        overview=overview,
    )
