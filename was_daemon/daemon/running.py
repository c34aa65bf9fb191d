"""The daemon while it runs: from its first port to its last answer."""

import gc
import os
import signal
from contextlib import suppress
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, Logger, globalLogPublisher

from was_daemon.config.load import ConfigError, Source
from was_daemon.config.settings import Settings
from was_daemon.daemon.allocator import keep_freed_memory
from was_daemon.daemon.graph import Graph, build
from was_daemon.daemon.listening import Listening
from was_daemon.daemon.nginx_marker import set_marker
from was_daemon.daemon.siblings.alone import Alone
from was_daemon.daemon.systemd import Notifier
from was_daemon.daemon.unwise import warn
from was_daemon.httpd.access_log import AccessLog
from was_daemon.httpd.site import AssetSite
from was_daemon.httpd.traffic import Traffic
from was_daemon.telemetry.logs import DaemonLog
from was_daemon.web.admin.routes import AdminServer, AdminSite

_log = Logger()

_FIRST_REQUEST_SECONDS = 1.0
"""How long a client that has just connected has for its request when the daemon stops."""

_PARTING_SECONDS = 5.0
"""How long stores have to finish what they are at when the daemon ends."""

_SERVING = "Serving"

_CONSEQUENCES = {
    "server.listen": "the daemon listens where it did",
    "server.admin_listen": "the daemon listens where it did",
    "server.workers": "there are as many processes as before",
}


class Running(Service):
    """Serves a graph, exchanges it for another, and stops, without cutting short whoever is being served.

    This may be one process of a `family`; then the first of them has the others do the same.
    """

    def __init__(self, source: Source, graph: Graph, log: DaemonLog | None = None, family: Alone | None = None) -> None:
        from twisted.internet import reactor

        self._reactor = reactor
        self._clock = IReactorTime(reactor)
        self._source = source
        self._lasting = graph.lasting
        self._log = log
        self._family = family or Alone()
        self._graph = graph
        self._living = [graph]
        self._follow_log(graph)
        self._site = AssetSite(
            graph.resource,
            graph.connection_limits,
            graph.settings.server.trusted_proxies,
            Traffic(self._lasting.metrics, AccessLog(log), self._lasting.recent.note_failed_request),
        )
        self._lasting.metrics.connections.set_function(lambda: len(self._site.open_connections))
        self._site.open_connections.changed = self._family.changed
        self._ports = MultiService()
        self._fixed = _fixed(graph.settings)
        admin = AdminSite(AdminServer(self._family.figures(self._lasting.health, self._lasting.metrics)).resource())
        for description in graph.settings.server.listen:
            self._family.listening(description, self._site).setServiceParent(self._ports)
        for description in graph.settings.server.admin_listen:
            Listening(description, admin).setServiceParent(self._ports)
        self._has_terminal = False
        self._stopping: Deferred[None] | None = None
        self._manager = Notifier(source.environ)
        self._alive = LoopingCall(self._be_alive)
        self._alive.clock = self._clock

    def setServiceParent(self, parent: Any) -> None:
        """Join an application, and have twistd write its log as configured."""
        super().setServiceParent(parent)
        if self._log:
            parent.setComponent(ILogObserver, self._log)

    def _follow_log(self, graph: Graph) -> None:
        if self._log:
            self._log.as_json = graph.settings.log.format == "json"

    def privilegedStartService(self) -> None:
        """Listen. Whoever sees that somebody does may ask for a reload."""
        self._has_terminal = _has_terminal()
        if signal.SIGHUP in self._family.signals:
            signal.signal(signal.SIGHUP, self._signalled)
        self._ports.privilegedStartService()

    def startService(self) -> None:
        """Serve."""
        super().startService()
        globalLogPublisher.addObserver(self._lasting.recent)
        self._ports.startService()
        self._graph.start()
        self._tell_nginx(self._graph.settings, None)
        IReactorCore(self._reactor).callWhenRunning(self._begin)

    def _begin(self) -> None:
        """The reactor turns, and the ports are open."""
        # What there is by now stays: the collector need not go through all of it again and again.
        gc.freeze()
        keep_freed_memory()
        self._heed_signals()
        self._family.begin(self._source, self._log).addCallback(self._all_serve)
        if self._manager.watchdog_seconds:
            self._alive.start(self._manager.watchdog_seconds / 2)

    def _all_serve(self, _: None) -> None:
        if self._stopping is None:
            self._manager.ready(_SERVING)

    def _be_alive(self) -> None:
        self._manager.alive()
        self._family.watch()

    def reload(self, source: Source | None = None) -> None:
        """Go by the configuration as it is now from the next request on; go on as before when it has mistakes.

        It is that of `source`, or read again.
        """
        if self._stopping is not None:
            return
        self._manager.reloading()
        try:
            source = source or self._source.read()
            graph = build(source.load(), self._lasting, self._graph)
        except ConfigError as error:
            for mistake in error.mistakes:
                _log.error("The configuration has a mistake, so the old one stays in use: {mistake}", mistake=mistake)
        except Exception:
            _log.failure("The configuration could not be read again, so the old one stays in use")
        else:
            self._source = source
            self._exchange(graph)
            self._family.reload(source).addCallback(self._all_serve)
            return
        self._manager.ready("Serving by the old configuration, the new one has mistakes")

    def _exchange(self, graph: Graph) -> None:
        before, self._graph = self._graph, graph
        self._living.append(graph)
        graph.start(before)
        self._follow_log(graph)
        self._tell_nginx(graph.settings, before.settings)
        self._site.reconfigure(graph.resource, graph.connection_limits, graph.settings.server.trusted_proxies)
        Deferred.fromCoroutine(self._retire(before)).addErrback(
            lambda failure: _log.failure("What the old configuration used could not be closed", failure)
        )
        if self._lasting.share.is_first:
            self._tell_of_exchange(graph, before)

    def _tell_of_exchange(self, graph: Graph, before: Graph) -> None:
        _log.info("The configuration was read again, and is in use")
        warn(graph.settings, before.settings)
        for key, value in _fixed(graph.settings).items():
            if value != self._fixed[key]:
                _log.warn("A change of {key} needs a restart; {consequence}", key=key, consequence=_CONSEQUENCES[key])

    def _tell_nginx(self, settings: Settings | None, before: Settings | None) -> None:
        if self._lasting.share.is_first:
            set_marker(settings, before)

    async def _retire(self, graph: Graph) -> None:
        """Close what only `graph` has, after the last request that began with it."""
        await graph.resource.active_requests.finished()
        await graph.assets.settled()
        await self._lasting.locks.settled()
        if self._stopping is not None:
            # Everything is closed then.
            return
        self._living.remove(graph)
        kept = {id(part) for other in self._living for part in other.parts}
        for part in graph.parts:
            if id(part) not in kept:
                await part.close()

    def _heed_signals(self) -> None:
        """Take the place of the reactor's handlers: with them, a stop by SIGTERM is no success."""
        for number in {signal.SIGTERM, signal.SIGINT}.intersection(self._family.signals):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _frame: Any) -> None:
        IReactorFromThreads(self._reactor).callFromThread(self._heed, number)

    def _heed(self, number: int) -> None:
        # The end of the terminal that the daemon was started in is told by the same signal as the wish for a reload.
        if number == signal.SIGHUP and _has_terminal() == self._has_terminal:
            self.reload()
        else:
            share, reason = self._lasting.share, signal.Signals(number).name
            if self._stopping is not None and not share.is_first:
                # One signal to all processes is not two to this one. To hurry, the first is told twice.
                return
            who = "the daemon" if share.is_first else f"process {share.number}"
            words = "{reason}: {who} stops" if self._stopping is None else "{reason} again: {who} stops at once"
            _log.info(words, reason=reason, who=who)
            self.end()

    def end(self) -> None:
        """Stop; at once, when this is called again."""
        if self._stopping is None:
            # Two signals at the same moment are one.
            with suppress(ReactorNotRunning):
                IReactorCore(self._reactor).stop()
        else:
            self._stopping.cancel()
            self._family.hurry()

    def stopService(self) -> Deferred[None]:
        """Take no more requests, let those under way finish in `shutdown_grace` seconds, and release everything."""
        super().stopService()
        grace = self._graph.settings.server.shutdown_grace
        self._manager.stopping("Finishing the requests under way", grace + 2 * _PARTING_SECONDS)
        self._family.stop(grace + 2 * _PARTING_SECONDS)
        self._stopping = Deferred.fromCoroutine(self._stop(grace))
        return Deferred.fromCoroutine(self._stopped(self._stopping))

    async def _stopped(self, stopping: Deferred[None]) -> None:
        with suppress(CancelledError):
            await stopping
        await self._family.ended()

    async def _stop(self, grace: float) -> None:
        connections = self._site.open_connections
        unused = self._clock.callLater(_FIRST_REQUEST_SECONDS, connections.close_unused)
        try:
            self._tell_nginx(None, self._graph.settings)
            # First of all, so that no answer given after the signal leaves its connection open for another request.
            connections.drain()
            await self._ports.stopService()
            await self._within(grace, connections.drained(), "requests were cut off")
        finally:
            if unused.active():
                unused.cancel()
            connections.abort()
        await self._within(_PARTING_SECONDS, Deferred.fromCoroutine(self._close()), "stores were not closed in time")

    async def _within(self, seconds: float, work: Deferred[None], complaint: str) -> None:
        try:
            await work.addTimeout(seconds, self._clock)
        except DeferredTimeout:
            _log.warn("After {seconds:g} s {complaint}", seconds=seconds, complaint=complaint)

    async def _close(self) -> None:
        for graph in self._living:
            graph.assets.withdraw()
            await graph.pool.close()
            await graph.assets.settled()
        # A delete or replacement that has begun is brought to its end.
        await self._lasting.locks.settled()
        for part in {id(part): part for graph in self._living for part in graph.parts}.values():
            await part.close()


def _has_terminal() -> bool:
    """Whether this process is controlled by a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _fixed(settings: Settings) -> dict[str, object]:
    """Return the settings that stay as they were until the next start."""
    server = settings.server
    return {
        "server.listen": server.listen,
        "server.admin_listen": server.admin_listen,
        "server.workers": server.workers,
    }
