"""Life cycle of one daemon process: start, reload, stop."""

import gc
from collections.abc import Sequence
from contextlib import suppress

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogPublisher

from was_daemon.config.load import ConfigSource
from was_daemon.config.settings import Settings
from was_daemon.daemon.allocator import keep_freed_memory
from was_daemon.daemon.assembly import build
from was_daemon.daemon.components import Components
from was_daemon.daemon.console import console_of, recorder_of
from was_daemon.daemon.failed_reload import keep_mistakes
from was_daemon.daemon.life_cycle import (
    CLOSE_SECONDS,
    MAX_END_SECONDS,
    OLD_CONFIGURATION,
    SERVING,
    LoggedService,
    reloaded,
    stop_reactor,
)
from was_daemon.daemon.listening import EndpointService
from was_daemon.daemon.nginx_marker import set_marker
from was_daemon.daemon.processes.sockets import InheritedSockets
from was_daemon.daemon.reactor_watch import ReactorWatch
from was_daemon.daemon.signals import Signals
from was_daemon.daemon.systemd import Notifier
from was_daemon.daemon.warnings import warn
from was_daemon.health.history.recorder import Recorder
from was_daemon.httpd.access_log import AccessLog
from was_daemon.httpd.site import AssetSite
from was_daemon.httpd.traffic import Traffic
from was_daemon.telemetry.logs import DaemonLog
from was_daemon.web.admin.routes import AdminServer, AdminSite

_log = Logger()

_FIRST_REQUEST_SECONDS = 1.0
"""Seconds that a client that has just connected has for its request when the daemon stops."""

_CONSEQUENCES = {
    "server.listen": "the daemon listens where it did",
    "server.admin_listen": "the daemon listens where it did",
    "admin.history": "the history of the console is kept where it was",
    "server.workers": "there are as many processes as before",
}


class RunningDaemon(LoggedService):
    """Service of one process: exchanges its components when reloaded, and stops without cutting requests short.

    `inherited` are sockets to listen on that another process has opened; `admin_listen` replaces that of the settings.
    """

    def __init__(
        self,
        source: ConfigSource,
        components: Components,
        log: DaemonLog | None = None,
        inherited: InheritedSockets | None = None,
        admin_listen: Sequence[str] | None = None,
    ) -> None:
        from twisted.internet import reactor

        super().__init__(log)
        self._reactor = reactor
        self._clock = IReactorTime(reactor)
        self._source = source
        self._state = components.state
        self._components = components
        self._in_use = [components]
        settings = components.settings
        self._configure_log(settings)
        self._site = AssetSite(
            components.resource,
            components.connection_limits,
            settings.server.trusted_proxies,
            Traffic(self._state.metrics, AccessLog(log), self._state.recent.note_failed_request),
        )
        self._state.metrics.connections.set_function(lambda: len(self._site.open_connections))
        self._ports = MultiService()
        self._fixed = _fixed(settings)
        endpoints = settings.server.admin_listen if admin_listen is None else admin_listen
        self._recorder = recorder_of(settings, self._state) if endpoints else None
        for description in settings.server.listen:
            EndpointService(description, self._site, inherited).setServiceParent(self._ports)
        if self._recorder:
            self._add_admin(endpoints, self._recorder)
        self._signals = Signals(self.reload, self._stop_by)
        self._stopping: Deferred[None] | None = None
        self._manager = Notifier(source.environ)
        self._watch = ReactorWatch()
        self._alive = LoopingCall(self._manager.alive)
        self._alive.clock = self._clock

    def _add_admin(self, endpoints: Sequence[str], recorder: Recorder) -> None:
        console = console_of(self._source, lambda: self._components, recorder)
        server = AdminServer(self._state.health, self._state.metrics, console, lambda: self._components.finder)
        site = AdminSite(server.resource())
        for description in endpoints:
            EndpointService(description, site).setServiceParent(self._ports)

    def privilegedStartService(self) -> None:
        """Listen; from then on others may send the signal for a reload."""
        self._signals.heed_hangups()
        self._ports.privilegedStartService()

    def startService(self) -> None:
        """Serve."""
        super().startService()
        globalLogPublisher.addObserver(self._state.recent)
        self._ports.startService()
        self._components.start()
        keep_mistakes(self._components.settings.console_directory, ())
        self._tell_nginx(self._components.settings, None)
        IReactorCore(self._reactor).callWhenRunning(self._begin)

    def _begin(self) -> None:
        """Handle signals and tell systemd, now that the reactor runs and the ports are open."""
        # Objects made at start live for ever: exclude them from garbage collection.
        gc.freeze()
        keep_freed_memory()
        self._signals.heed_stops()
        self._manager.ready(SERVING)
        if self._recorder:
            self._recorder.start()
        self._watch_plugins()
        if self._manager.watchdog_seconds:
            self._alive.start(self._manager.watchdog_seconds / 2)

    def _watch_plugins(self) -> None:
        """Watch the reactor if plugins of other authors run in it; without them, an idle daemon is not to wake."""
        if self._components.settings.plugin_path:
            self._watch.start()

    def reload(self) -> None:
        """Reload the configuration, for the next requests; keep the old one if it has mistakes."""
        if self._stopping is not None:
            return
        self._manager.reloading()
        components = reloaded(
            lambda: build(self._source.load(), self._state, self._components),
            self._components.settings.console_directory,
        )
        if components:
            self._exchange(components)
        self._manager.ready(SERVING if components else OLD_CONFIGURATION)

    def _exchange(self, components: Components) -> None:
        before, self._components = self._components, components
        self._in_use.append(components)
        components.start(before)
        self._watch_plugins()
        self._configure_log(components.settings)
        self._tell_nginx(components.settings, before.settings)
        self._site.reconfigure(
            components.resource, components.connection_limits, components.settings.server.trusted_proxies
        )
        Deferred.fromCoroutine(self._retire(before)).addErrback(
            lambda failure: _log.failure("Could not close parts of the previous configuration", failure)
        )
        if self._state.process.is_first:
            self._tell_of_exchange(components, before)

    def _tell_of_exchange(self, components: Components, before: Components) -> None:
        _log.info("The configuration was read again, and is in use")
        warn(components.settings, before.settings)
        for key, value in _fixed(components.settings).items():
            if value != self._fixed[key]:
                _log.warn(
                    "A change of {setting} needs a restart; {consequence}", setting=key, consequence=_CONSEQUENCES[key]
                )

    def _tell_nginx(self, settings: Settings | None, before: Settings | None) -> None:
        if self._state.process.is_first:
            set_marker(settings, before)

    async def _retire(self, components: Components) -> None:
        """Close the parts that only `components` has, after the last request that began with them."""
        await components.resource.active_requests.finished()
        await components.assets.settled()
        await self._state.locks.settled()
        if self._stopping is not None:
            # Everything is closed then.
            return
        self._in_use.remove(components)
        kept = {id(part) for other in self._in_use for part in other.closable}
        for part in components.closable:
            if id(part) not in kept:
                await part.close()

    def _stop_by(self, reason: str) -> None:
        process = self._state.process
        if self._stopping is not None and process.count > 1 and reason == "SIGTERM":
            # Some service managers signal every process, and the parent does so, too.
            return
        words = "{reason}: {process} stops" if self._stopping is None else "{reason} again: {process} stops at once"
        _log.info(words, reason=reason, process=process)
        self.end()

    def end(self) -> None:
        """Stop; at once, when this is called again."""
        if self._stopping is None:
            stop_reactor()
        else:
            self._stopping.cancel()

    def stopService(self) -> Deferred[None]:
        """Stop accepting requests, wait up to `shutdown_grace` seconds for those under way, and close all parts."""
        super().stopService()
        grace = self._components.settings.server.shutdown_grace
        self._manager.stopping("Finishing the requests under way", grace + MAX_END_SECONDS)
        self._stopping = Deferred.fromCoroutine(self._stop(grace))
        return Deferred.fromCoroutine(self._stopped(self._stopping))

    async def _stopped(self, stopping: Deferred[None]) -> None:
        try:
            with suppress(CancelledError):
                await stopping
        finally:
            # At the very end, however the parts ended: what they complained of is kept for the next start, too.
            if self._recorder:
                await self._recorder.close()

    async def _stop(self, grace: float) -> None:
        connections = self._site.open_connections
        unused = self._clock.callLater(_FIRST_REQUEST_SECONDS, connections.close_unused)
        try:
            self._tell_nginx(None, self._components.settings)
            # First of all, so that no answer given after the signal leaves its connection open for another request.
            connections.drain()
            await self._ports.stopService()
            await self._within(grace, connections.drained(), "requests were cut off")
        finally:
            if unused.active():
                unused.cancel()
            connections.abort()
        await self._within(CLOSE_SECONDS, Deferred.fromCoroutine(self._close()), "stores were not closed in time")

    async def _within(self, seconds: float, work: Deferred[None], complaint: str) -> None:
        try:
            await work.addTimeout(seconds, self._clock)
        except DeferredTimeout:
            _log.warn("After {seconds:g} s {complaint}", seconds=seconds, complaint=complaint)

    async def _close(self) -> None:
        for components in self._in_use:
            components.withdraw()
            await components.pool.close()
            await components.assets.settled()
        # A delete or replacement that has begun is brought to its end.
        await self._state.locks.settled()
        self._watch.stop()
        if self._recorder:
            self._recorder.stop()
        for part in {id(part): part for components in self._in_use for part in components.closable}.values():
            await part.close()
        await self._state.quotas.close()


def _fixed(settings: Settings) -> dict[str, object]:
    """Return the settings that a reload does not change."""
    server = settings.server
    return {
        "server.listen": server.listen,
        "server.admin_listen": server.admin_listen,
        "admin.history": settings.admin.history,
        "server.workers": server.workers,
    }
