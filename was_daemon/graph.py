"""The daemon's parts, built from settings and nothing else.

A reload builds a new graph. It takes over the parts whose settings are the same; requests under way finish on the
graph they began with, and a part is closed when no graph that lives has it.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.assets import Assets
from was_daemon.checksums import Checksums, Recorder
from was_daemon.collections import Collections, Place
from was_daemon.config import ConfigError
from was_daemon.errors import AssetError
from was_daemon.health import Health
from was_daemon.interfaces import IAssetStore, ILocalFiles, INeighbours, IRedirects, IRooted
from was_daemon.keys import AssetKey
from was_daemon.locks import KeyLocks
from was_daemon.metrics import Metrics, show
from was_daemon.overview import Look, look_at
from was_daemon.recent import RecentTrouble
from was_daemon.settings import Settings, StoreSettings
from was_daemon.spool import Spool
from was_daemon.stores.observed import observed
from was_daemon.thumbnails.cache import Thumbnails
from was_daemon.thumbnails.eviction import Evictor
from was_daemon.thumbnails.pool import WorkerPool
from was_daemon.web.access import Access
from was_daemon.web.admission import UploadLimits
from was_daemon.web.app import AssetResource, AssetServer
from was_daemon.web.limits import ConnectionLimits

_log = Logger()

_LARGEST_PENDING = 4
"""How many of the largest uploads may be on their way before their tokens arrive, unless the settings say otherwise."""


@attrs.frozen(eq=False)
class Lasting:
    """What outlives every graph of the process.

    The locks are among it because an upload that began under other settings and a delete exclude each other, too.
    """

    metrics: Metrics
    health: Health
    recent: RecentTrouble
    locks: KeyLocks[AssetKey] = attrs.field(factory=KeyLocks)

    @classmethod
    def new(cls) -> "Lasting":
        """For a process that begins."""
        metrics = Metrics()
        return cls(metrics, Health(metrics), RecentTrouble(metrics))


@attrs.frozen
class BuiltStore:
    """A store, and everything that made it what it is."""

    store: IAssetStore
    origin: tuple[object, ...]


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
    thumbnails: Thumbnails
    assets: Assets
    resource: AssetResource

    @property
    def connection_limits(self) -> ConnectionLimits:
        """What is asked of connections."""
        limits = self.settings.limits
        return ConnectionLimits(
            limits.connections_per_address, limits.header_timeout, limits.idle_timeout, limits.min_rate
        )

    @property
    def parts(self) -> list[WorkerPool | IAssetStore | Spool | Checksums]:
        """What has to be closed, in this order."""
        checksums = [self.checksums] if self.checksums else []
        return [self.pool, *(built.store for built in self.stores.values()), self.spool, *checksums]

    def start(self, before: "Graph | None" = None) -> None:
        """Check what is new since the graph `before`, and remove what a killed process left; requests do not wait."""
        self._show()
        known = before.stores if before else {}
        for name, built in self.stores.items():
            if built is not known.get(name):
                _begin(f"Store {name}", partial(_look_at, built.store))
            elif IRooted.providedBy(built.store):
                _begin(f"Store {name}", partial(_accept, built.store))
        if not before or self.spool is not before.spool:
            _begin("The spool", self.spool.start)
        Deferred.fromCoroutine(self.thumbnails.start(before.thumbnails if before else None))

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
        self.lasting.health.follow(stores, pool, self.spool, self.settings.limits.min_free)


async def _look_at(store: IAssetStore) -> int:
    """Check a store, and remove what a killed process left in it; returns how many files."""
    await store.check()
    if INeighbours.providedBy(store):
        others = await INeighbours(store).neighbours()
        if others:
            _log.info("{others} uses {store}, too", others=" and ".join(others), store=store)
    return await ILocalFiles(store).clean() if ILocalFiles.providedBy(store) else 0


async def _accept(store: IAssetStore) -> int:
    """Take a store's directory as it is now: whoever has put another in its place has the daemon reloaded."""
    if not await IRooted(store).accept():
        return 0
    _log.warn("{store}: the directory is another than before, and in use from now on", store=store)
    return await _look_at(store)


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
    """The graph that `settings` describe, not started yet, with the parts of `before` that fit.

    Raises `ConfigError` when a store cannot do what is asked of it.
    """
    locks, metrics = lasting.locks, lasting.metrics
    built = _build_stores(settings, before.stores if before else {}, metrics)
    stores = {name: each.store for name, each in built.items()}
    collections = _collections(settings, stores)
    spool, pool = _spool(settings, metrics, before), _pool(settings, metrics, before)
    evictor = _evictor(settings, collections, before)
    limits = settings.thumbnails
    thumbnails = Thumbnails(collections, locks, spool, pool, limits.max_pixels, limits.max_scale, evictor)
    checksums = _checksums(settings, before)
    assets = Assets(
        collections,
        thumbnails,
        locks,
        spool,
        pool,
        settings.server.overwrite,
        limits.warm,
        metrics=metrics,
        recorder=Recorder(checksums),
    )
    resource = _server(settings, assets, collections, look_at(lasting.health, lasting.recent, pool)).resource()
    return Graph(settings, lasting, built, collections, spool, pool, evictor, checksums, thumbnails, assets, resource)


def create_stores(settings: Settings) -> dict[str, IAssetStore]:
    """The stores, not connected yet; raises `ConfigError` when one cannot do what is asked of it."""
    return {name: built.store for name, built in _build_stores(settings, {}, Metrics()).items()}


def _build_stores(settings: Settings, before: Mapping[str, BuiltStore], metrics: Metrics) -> dict[str, BuiltStore]:
    built = {
        name: _build_store(store, before.get(name), partial(observed, metrics=metrics, name=name))
        for name, store in settings.stores.items()
    }
    mistakes = [
        f'stores.{name}.redirect: the plugin "{settings.stores[name].plugin.name}" has no addresses to send clients to'
        for name, each in built.items()
        if settings.stores[name].redirect and not IRedirects.providedBy(each.store)
    ]
    if mistakes:
        raise ConfigError(mistakes)
    return built


def _build_store(
    settings: StoreSettings, before: BuiltStore | None, watched: Callable[[IAssetStore], IAssetStore]
) -> BuiltStore:
    origin = (settings.plugin, settings.options, *_files_named_by(settings.options))
    if before and before.origin == origin:
        return before
    return BuiltStore(watched(settings.plugin.create(settings.options)), origin)


def _files_named_by(options: Any) -> list[tuple[Path, int, int]]:
    """The files that a store's options called `..._file` name, with what changes when, say, a password is replaced.

    No others are looked at: a store's directory may be on a mount that hangs.
    """
    found = []
    for name, path in attrs.asdict(options, recurse=False).items():
        if name.endswith("_file") and isinstance(path, Path) and path.is_file():
            status = path.stat()
            found.append((path, status.st_mtime_ns, status.st_ino))
    return found


def _spool(settings: Settings, metrics: Metrics, before: Graph | None) -> Spool:
    if not before or before.settings.spool.path != settings.spool.path:
        return Spool(settings.spool.path, settings.spool.max_size, metrics)
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
    evictor = Evictor(collections.local_thumbnails(), max_size)
    return before.evictor if before and before.evictor and before.evictor.does_the_same_as(evictor) else evictor


def _checksums(settings: Settings, before: Graph | None) -> Checksums | None:
    path = settings.checksums.path
    if before and before.checksums and before.checksums.path == path:
        return before.checksums
    return Checksums(path) if path else None


def _collections(settings: Settings, stores: Mapping[str, IAssetStore]) -> Collections:
    def place(directory: str, store: str | None) -> Place:
        name = store or settings.default_store
        thumbnails = stores[settings.thumbnails.store or name]
        return Place(directory, stores[name], thumbnails, settings.stores[name].redirect, name)

    mode = settings.collections.mode
    named = {name: place(entry.directory, entry.store) for name, entry in settings.collections.map.items()}
    return Collections(place("", None), named if mode == "map" else None, auto=mode == "auto")


def _server(settings: Settings, assets: Assets, collections: Collections, look: Look) -> AssetServer:
    server = settings.server
    access = Access(
        collections=collections,
        key=server.key,
        token_window=server.token_window,
        require_token_for_get=server.require_token_for_get,
        public_url=server.public_url,
        trusted_proxies=server.trusted_proxies,
    )
    limits = settings.limits
    pending_size = limits.pending_size or _LARGEST_PENDING * server.max_upload
    return AssetServer(
        assets,
        access,
        UploadLimits(server.max_upload, limits.pending_uploads, pending_size, limits.min_free),
        max_scale=settings.thumbnails.max_scale,
        static_access=server.static_access,
        look=look,
    )
