"""Builds the daemon from its settings, and nothing else."""

import os
import resource
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from twisted.application import strports
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, setDebugging
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python import usage

from was_daemon import __version__
from was_daemon.assets import Assets
from was_daemon.collections import Collections, Place
from was_daemon.config import TCP_PORT, ConfigError, LimitSettings, Settings, load
from was_daemon.errors import AssetError
from was_daemon.interfaces import IAssetStore, ILocalFiles, IRedirects
from was_daemon.keys import AssetKey
from was_daemon.locks import KeyLocks
from was_daemon.spool import Spool
from was_daemon.thumbnails.cache import Thumbnails
from was_daemon.thumbnails.eviction import Evictor
from was_daemon.thumbnails.pool import WorkerPool
from was_daemon.web.access import Access
from was_daemon.web.admission import UploadLimits
from was_daemon.web.app import AssetServer
from was_daemon.web.limits import ConnectionLimits
from was_daemon.web.log import access_line
from was_daemon.web.protocol import AssetSite

_log = Logger()

_BACKLOG = 1024
"""Connections that wait to be accepted; the system may allow fewer."""

_LARGEST_PENDING = 4
"""How many of the largest uploads may be on their way before their tokens arrive, unless the settings say otherwise."""


class Options(usage.Options):
    """The command line of `twistd was`."""

    optParameters = [["config", "c", None, "The configuration; without one, a store in ./attachments on port 8080."]]  # noqa: RUF012

    settings: Settings
    stores: Mapping[str, IAssetStore]

    def postOptions(self) -> None:
        """Read the configuration before anything is opened."""
        path = self["config"]
        try:
            self.settings = load(Path(path) if path else None, os.environ)
            self.stores = create_stores(self.settings)
        except ConfigError as error:
            # Not a UsageError: how to call twistd is not the question.
            raise SystemExit(f"The configuration has mistakes:\n{error}") from None


def create_stores(settings: Settings) -> dict[str, IAssetStore]:
    """The stores, not connected yet; raises `ConfigError` when one cannot do what is asked of it."""
    stores = {name: store.plugin.create(store.options) for name, store in settings.stores.items()}
    mistakes = [
        f'stores.{name}.redirect: the plugin "{settings.stores[name].plugin.name}" has no addresses to send clients to'
        for name, store in stores.items()
        if settings.stores[name].redirect and not IRedirects.providedBy(store)
    ]
    if mistakes:
        raise ConfigError(mistakes)
    return stores


class Housekeeping(Service):
    """Looks at the stores when the daemon starts, and releases everything when it stops."""

    def __init__(
        self, stores: Mapping[str, IAssetStore], spool: Spool, pool: WorkerPool, thumbnails: Thumbnails
    ) -> None:
        self._stores = stores
        self._spool = spool
        self._pool = pool
        self._thumbnails = thumbnails

    def startService(self) -> None:
        """Check the stores and remove what a killed process left; the daemon serves meanwhile."""
        super().startService()
        for name, store in self._stores.items():
            ensureDeferred(self._prepare(f"Store {name}", store.check))
            if ILocalFiles.providedBy(store):
                ensureDeferred(self._prepare(f"Store {name}", ILocalFiles(store).clean))
        ensureDeferred(self._prepare("The spool", self._spool.start))
        ensureDeferred(self._thumbnails.start())

    async def _prepare(self, what: str, step: Callable[[], Awaitable[int | None]]) -> None:
        try:
            removed = await step()
        except AssetError as error:
            _log.error("{what}: {error}", what=what, error=error)
        else:
            if removed:
                _log.info("{what}: removed {removed} unfinished files", what=what, removed=removed)

    def stopService(self) -> Deferred[None]:
        """Stop workers, connections and threads."""
        super().stopService()
        return ensureDeferred(self._close())

    async def _close(self) -> None:
        await self._pool.close()
        for store in self._stores.values():
            await store.close()
        await self._spool.close()


class Listening(Service):
    """Listens on one endpoint from the start of the daemon, or ends it with a line that says why not."""

    def __init__(self, description: str, site: AssetSite) -> None:
        from twisted.internet import reactor

        self._description = description
        self._port = strports.service(_with_backlog(description), site, reactor)

    def privilegedStartService(self) -> None:
        """Listen, while there is still the privilege for a port below 1024."""
        try:
            self._port.privilegedStartService()
        except CannotListenError as error:
            _log.critical("Cannot listen on {description}: {error}", description=self._description, error=error)
            raise SystemExit(f"Cannot listen on {self._description}: {error}") from None

    def startService(self) -> None:
        """See `Service`."""
        super().startService()
        self._port.startService()

    def stopService(self) -> Deferred[None]:
        """Stop listening."""
        super().stopService()
        return maybeDeferred(self._port.stopService)


def _with_backlog(description: str) -> str:
    """Let a crowd of clients wait to be accepted: one who finds no room tries again only a second later."""
    kind = description.partition(":")[0]
    if kind not in ("tcp", "tcp6", "ssl", "unix") or ":backlog=" in description:
        return description
    return f"{description}:backlog={_BACKLOG}"


def makeService(options: Options) -> IService:
    """The daemon that `options.settings` describe, not started yet."""
    settings = options.settings
    _allow_open_files()
    setDebugging(settings.debug)
    stores = options.stores
    collections = _collections(settings, stores)
    limits = settings.thumbnails
    spool = Spool(settings.spool.path, settings.spool.max_size)
    pool = WorkerPool(limits.workers, limits.timeout, limits.memory, limits.queue)
    locks: KeyLocks[AssetKey] = KeyLocks()
    evictor = Evictor(collections.local_thumbnails(), limits.max_size) if limits.max_size else None
    thumbnails = Thumbnails(collections, locks, spool, pool, limits.max_pixels, limits.max_scale, evictor)
    assets = Assets(collections, thumbnails, locks, spool, pool, settings.server.overwrite, limits.warm)
    site = AssetSite(
        _server(settings, assets, collections).resource(),
        _connection_limits(settings.limits),
        settings.server.trusted_proxies,
        logFormatter=access_line,
    )
    service = MultiService()
    Housekeeping(stores, spool, pool, thumbnails).setServiceParent(service)
    for description in settings.server.listen:
        Listening(description, site).setServiceParent(service)
    _announce(settings, stores)
    return service


def _allow_open_files() -> None:
    """Use the system's limit of open files, not the lower one of login sessions: connections and files add up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _collections(settings: Settings, stores: Mapping[str, IAssetStore]) -> Collections:
    def place(directory: str, store: str | None) -> Place:
        name = store or settings.default_store
        thumbnails = stores[settings.thumbnails.store or name]
        return Place(directory, stores[name], thumbnails, settings.stores[name].redirect)

    mode = settings.collections.mode
    named = {name: place(entry.directory, entry.store) for name, entry in settings.collections.map.items()}
    return Collections(place("", None), named if mode == "map" else None, auto=mode == "auto")


def _server(settings: Settings, assets: Assets, collections: Collections) -> AssetServer:
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
    )


def _connection_limits(limits: LimitSettings) -> ConnectionLimits:
    return ConnectionLimits(limits.connections_per_address, limits.header_timeout, limits.idle_timeout, limits.min_rate)


def _announce(settings: Settings, stores: Mapping[str, IAssetStore]) -> None:
    """Tell the operator what runs, and what to enter in Specify."""
    server = settings.server
    port = next(filter(None, map(TCP_PORT.match, server.listen)), None)
    url = server.public_url or (f"http://localhost:{port[1]}" if port else "the address of this server")
    _log.info("was_daemon {version} serves {url}", version=__version__, url=url)
    for name, store in stores.items():
        _log.info("Store {name}: {store}", name=name, store=store)
    (_log.info if server.key else _log.warn)("The key is {source}", source=settings.key_source)
    _log.info(
        "In Specify 7 set ASSET_SERVER_URL to {url}/web_asset_store.xml and ASSET_SERVER_KEY to the key; "
        "in Specify 6 the properties attachment.url and attachment.key, and attachment.use_path to false",
        url=url,
    )
    if server.require_token_for_get and server.static_access:
        _log.warn("Tokens are required to read, but anybody can read below /static/: set static_access = false")
