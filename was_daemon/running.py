"""The daemon while it runs: from its first port to its last answer."""

import signal
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from was_daemon.graph import Graph
from was_daemon.keys import AssetKey
from was_daemon.listening import Listening
from was_daemon.locks import KeyLocks
from was_daemon.web.log import access_line
from was_daemon.web.protocol import AssetSite

_log = Logger()

_FIRST_REQUEST_SECONDS = 1.0
"""How long a client that has just connected has for its request when the daemon stops."""

_PARTING_SECONDS = 5.0
"""How long stores have to finish what they are at when the daemon ends."""


class Running(Service):
    """Serves a graph, and stops without cutting short whoever is being served."""

    def __init__(self, graph: Graph, locks: KeyLocks[AssetKey]) -> None:
        from twisted.internet import reactor

        self._reactor = reactor
        self._clock = IReactorTime(reactor)
        self._locks = locks
        self._graph = graph
        self._site = AssetSite(
            graph.resource,
            graph.connection_limits,
            graph.settings.server.trusted_proxies,
            logFormatter=access_line,
        )
        self._ports = MultiService()
        for description in graph.settings.server.listen:
            Listening(description, self._site).setServiceParent(self._ports)
        self._stopping: Deferred[None] | None = None

    def privilegedStartService(self) -> None:
        """Listen."""
        self._ports.privilegedStartService()

    def startService(self) -> None:
        """Serve."""
        super().startService()
        self._ports.startService()
        self._graph.start()
        IReactorCore(self._reactor).callWhenRunning(self._heed_signals)

    def _heed_signals(self) -> None:
        """Take the place of the reactor's handlers: with them, a stop by SIGTERM is no success."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _frame: Any) -> None:
        IReactorFromThreads(self._reactor).callFromThread(self._end, signal.Signals(number).name)

    def _end(self, reason: str) -> None:
        if self._stopping is None:
            _log.info("{reason}: the daemon stops", reason=reason)
            IReactorCore(self._reactor).stop()
        else:
            _log.info("{reason} again: the daemon stops at once", reason=reason)
            self._stopping.cancel()

    def stopService(self) -> Deferred[None]:
        """Take no more requests, let those under way finish in `shutdown_grace` seconds, and release everything."""
        super().stopService()
        self._stopping = Deferred.fromCoroutine(self._stop())
        return self._stopping.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def _stop(self) -> None:
        connections = self._site.open_connections
        unused = self._clock.callLater(_FIRST_REQUEST_SECONDS, connections.close_unused)
        try:
            await self._ports.stopService()
            connections.leave()
            grace = self._graph.settings.server.shutdown_grace
            await self._within(grace, connections.gone(), "requests were cut off")
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
        self._graph.assets.withdraw()
        await self._graph.pool.close()
        await self._graph.thumbnails.settled()
        # A delete or replacement that has begun is brought to its end.
        await self._locks.settled()
        for part in self._graph.parts:
            await part.close()
