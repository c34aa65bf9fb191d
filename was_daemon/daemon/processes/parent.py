"""The parent of several daemons on the same ports."""

import signal
import socket

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from was_daemon.concurrency.waiting import Waiters
from was_daemon.config.load import ConfigSource
from was_daemon.config.settings import Settings
from was_daemon.daemon.assembly import create_stores
from was_daemon.daemon.console_rules import console_rules
from was_daemon.daemon.life_cycle import (
    MAX_END_SECONDS,
    OLD_CONFIGURATION,
    SERVING,
    LoggedService,
    reloaded,
    stop_reactor,
)
from was_daemon.daemon.listening import CannotListen, EndpointService
from was_daemon.daemon.processes.admin import CombinedAdminServer
from was_daemon.daemon.processes.monitor import Child, Monitor
from was_daemon.daemon.processes.notifications import Notifications
from was_daemon.daemon.processes.relay import ConsoleRelay
from was_daemon.daemon.processes.runtime_directory import RuntimeDirectory
from was_daemon.daemon.processes.sockets import open_sockets
from was_daemon.daemon.signals import Signals
from was_daemon.daemon.systemd import Notifier
from was_daemon.telemetry.logs import PLAIN, WHOLE, DaemonLog
from was_daemon.web.admin.routes import AdminSite

_FAST_STOP_SECONDS = 2.0
"""Seconds that daemons have to end when they are to stop at once."""

_KILL_SECONDS = 5.0
"""Seconds that a process may take to end after SIGKILL."""

_log = Logger()


class Parent(LoggedService):
    """Service that keeps `[server] workers` daemons running; `settings` are those of `source`."""

    def __init__(self, source: ConfigSource, settings: Settings, log: DaemonLog | None) -> None:
        from twisted.internet import reactor

        super().__init__(log)
        self._reactor = reactor
        self._clock = IReactorTime(reactor)
        self._source = source
        self._settings = settings
        self._sockets: list[list[socket.socket]] = []
        self._directory: RuntimeDirectory
        self._children: list[Child] = []
        self._notifications: list[Notifications] = []
        self._monitor: Monitor
        self._manager = Notifier(source.environ)
        self._watching = LoopingCall(self._watch)
        self._watching.clock = self._clock
        self._signals = Signals(self.reload, self._stop_by)
        self._is_ready = False
        self._stopping = False
        self._all_ended = Waiters()
        relay = ConsoleRelay(self._children, lambda: console_rules(self._settings))
        admin = AdminSite(CombinedAdminServer(self._children, relay).resource())
        self._admin = MultiService()
        for description in settings.server.admin_listen:
            EndpointService(description, admin).setServiceParent(self._admin)
        self._configure_log(settings)

    # -- the start -----------------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Open the sockets, while there is still the privilege for ports below 1024."""
        self._signals.heed_hangups()
        for description in self._settings.server.listen:
            try:
                self._sockets.append(open_sockets(description, self._settings.server.workers))
            except CannotListenError as error:
                raise CannotListen(description, error) from None
        self._admin.privilegedStartService()

    def startService(self) -> None:
        """Start the daemons."""
        super().startService()
        self._directory = RuntimeDirectory(self._source.environ)
        for number in range(1, self._settings.server.workers + 1):
            self._add_child(number)
        self._admin.startService()
        self._monitor = Monitor(self._children, self._manager.watchdog_seconds, self._write, self._ended)
        IReactorCore(self._reactor).callWhenRunning(self._begin)

    def _add_child(self, number: int) -> None:
        admin, notify = (self._directory.path / f"{number}.{purpose}" for purpose in ("admin", "notify"))
        arguments = [
            WHOLE if self._log else PLAIN,
            f"--process={number}/{self._settings.server.workers}",
            f"--admin-listen=unix:{quoteStringArgument(str(admin))}",
            *([f"--config={self._source.path}"] if self._source.path else []),
        ]
        child = Child(number, arguments, [each[number - 1] for each in self._sockets], admin, notify)
        self._children.append(child)
        self._notifications.append(Notifications(notify, lambda message: self._received(child, message)))

    def _begin(self) -> None:
        self._signals.heed_stops()
        for each in self._notifications:
            each.start()
        self._monitor.startService()
        if self._manager.watchdog_seconds:
            self._watching.start(self._manager.watchdog_seconds / 2)

    # -- the daemons ---------------------------------------------------------------------------------------------------

    def _write(self, lines: str) -> None:
        if self._log:
            self._log.write_lines(lines)
            return
        for line in lines.splitlines():
            _log.info("{line}", line=line)

    def _received(self, child: Child, message: dict[str, str]) -> None:
        """Handle a message of a daemon to its service manager."""
        child.last_message = self._clock.seconds()
        if "READY" not in message or self._stopping:
            return
        if child.must_reload:
            self._reload_child(child)
            return
        child.is_reloading = False
        if not child.serves:
            child.serves = True
            if not all(each.serves for each in self._children):
                return
            self._is_ready = True
            _log.info("{number} processes serve", number=len(self._children))
        self._end_reload(message.get("STATUS", SERVING))

    def _ended(self) -> None:
        if not self._monitor.protocols:
            self._all_ended.release()
        if not self._stopping:
            self._end_reload(SERVING)

    def _watch(self) -> None:
        """Tell systemd that the parent lives, and kill daemons that have not sent a sign of life in time."""
        self._manager.alive()
        latest = self._clock.seconds() - self._manager.watchdog_seconds
        for child in self._children:
            if child.serves and child.last_message < latest:
                _log.error("Process {number} hangs, and is killed", number=child.number)
                self._monitor.send_signal(child, signal.SIGKILL)

    # -- a reload ------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Reload the configuration in all daemons; keep the old one if it has mistakes."""
        if self._stopping:
            return
        self._manager.reloading()
        settings = reloaded(self._load, self._settings.console_directory)
        if settings is None:
            self._manager.ready(OLD_CONFIGURATION)
            return
        self._settings = settings
        self._configure_log(settings)
        for child in self._children:
            if child.serves:
                self._reload_child(child)
            else:
                child.must_reload = True
        self._end_reload(SERVING)

    def _load(self) -> Settings:
        settings = self._source.load()
        create_stores(settings)
        return settings

    def _reload_child(self, child: Child) -> None:
        child.is_reloading, child.must_reload = True, False
        self._monitor.send_signal(child, signal.SIGHUP)

    def _end_reload(self, status: str) -> None:
        """Tell systemd that the daemons serve, unless one is still to start or to reload."""
        if self._is_ready and not any(child.is_reloading for child in self._children):
            self._manager.ready(status)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _stop_by(self, reason: str) -> None:
        words = "{reason} again: the daemon stops at once" if self._stopping else "{reason}: the daemon stops"
        _log.info(words, reason=reason)
        if self._stopping:
            for child in self._children:
                self._monitor.send_signal(child, signal.SIGINT)
            self._clock.callLater(_FAST_STOP_SECONDS, self._kill)
        else:
            stop_reactor()

    def _kill(self) -> None:
        for child in self._children:
            self._monitor.send_signal(child, signal.SIGKILL)

    def stopService(self) -> Deferred[None]:
        """Have the daemons finish requests under way, in `shutdown_grace` seconds."""
        super().stopService()
        self._stopping = True
        grace = self._settings.server.shutdown_grace + MAX_END_SECONDS
        self._manager.stopping("Finishing the requests under way", grace)
        return Deferred.fromCoroutine(self._stop(grace))

    async def _stop(self, grace: float) -> None:
        self._monitor.killTime = grace  # type: ignore[assignment]  # seconds, which need not be whole
        self._monitor.stopService()
        for opened in self._sockets:
            for listening in opened:
                listening.close()
        if self._monitor.protocols:
            try:
                await self._all_ended.add().addTimeout(grace + _KILL_SECONDS, self._clock)
            except DeferredTimeout:
                _log.error("A process cannot be killed: a disk or a mount hangs")
        if self._watching.running:
            self._watching.stop()
        await self._admin.stopService()
        for each in self._notifications:
            await each.stop()
        self._directory.remove()
