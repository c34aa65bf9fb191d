"""A process that the first has started, to serve beside it."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, setDebugging, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IReactorCore
from twisted.logger import FileLogObserver, LogEvent, Logger, eventAsText, globalLogBeginner
from twisted.web.server import Site

from was_daemon.concurrency.exclusion import Exclusion
from was_daemon.config.load import ConfigError, Source
from was_daemon.config.share import Share
from was_daemon.daemon.graph import build
from was_daemon.daemon.running import Running
from was_daemon.daemon.siblings.accepting import adopting
from was_daemon.daemon.siblings.alone import Alone
from was_daemon.daemon.siblings.board import Board
from was_daemon.daemon.siblings.configuration import told
from was_daemon.daemon.siblings.line import Line, hear
from was_daemon.daemon.siblings.process import FIRST_PORT, LINE, SHARED
from was_daemon.health.checks import Health
from was_daemon.health.figures import Figures
from was_daemon.health.overview import Overview, OverviewSource, empty_overview
from was_daemon.library.ledger import Account, Ledger
from was_daemon.model.errors import Overloaded, QuotaExceeded
from was_daemon.telemetry.logs import DaemonLog
from was_daemon.telemetry.metrics import Metrics
from was_daemon.workers.sandbox import end_with_parent

_log = Logger()

_PATIENCE_SECONDS = 6.0
"""How long to wait for what the first may wait for three seconds."""


_COUNT_SECONDS = 30.0
"""How long to wait for the process that has the counts of collections."""


class Other(Alone):
    """Process `share.number`, which does what the first says over `end`, and listens on the ports it was born with."""

    signals = (signal.SIGTERM,)
    """The others are for the first: from a terminal they come to all processes."""

    def __init__(self, share: Share, end: socket.socket, listen: list[str]) -> None:
        self.share = share
        self.exclusion = Exclusion(SHARED)
        self.running: Running
        self._board = Board(SHARED, share)
        self._ports = {description: FIRST_PORT + index for index, description in enumerate(listen)}
        self._end = end
        self._stopping = False
        self._is_over = False
        self._own: OverviewSource = empty_overview
        self._figures: Figures
        self._line = Line(
            {
                "alive": lambda _: self._line.tell("alive"),
                "reload": self._reload,
                "stop": lambda _: None if self._stopping else self.running.end(),
                "hurry": lambda _: self.running.end(),
                "overview": lambda _: self._overview(),
                "problems": lambda _: self._problems(),
                "figures": lambda _: self._all_figures(),
            },
            self._lost,
        )

    def listening(self, description: str, site: Site) -> Service:
        """See `Alone`."""
        if description in self._ports:
            return adopting(description, self._ports[description], self._board, site)
        return Service()

    def changed(self, connections: int) -> None:
        """See `Alone`."""
        if not self._stopping:
            self._board.say(connections)

    def begin(self, source: Source, log: DaemonLog | None) -> Deferred[None]:
        """See `Alone`."""
        self._board.say(0)
        self._line.connect(self._end)
        self._end.close()
        self._line.tell("ready")
        return succeed(None)

    def _reload(self, document: dict[str, Any]) -> None:
        self.running.reload(told(document))

    def stop(self, seconds: float) -> None:
        """See `Alone`."""
        self._stopping = True
        self._board.leave(self.share.number)

    def ended(self) -> Deferred[None]:
        """See `Alone`."""
        self._is_over = True
        return succeed(None)

    def _lost(self) -> None:
        # Nobody is left who would tell when to end; unless this process ends, and hangs up itself.
        if not self._is_over:
            os._exit(1)

    def overview(self, own: OverviewSource) -> OverviewSource:
        """See `Alone`."""
        self._own = own
        return self._look

    def account(self, own: Callable[[], Ledger]) -> Account:
        """See `Alone`."""
        return _DistantAccount(self._line)

    async def _look(self) -> Overview:
        """That of the daemon, which the first process knows."""
        try:
            return Overview(**await self._line.ask("overview", None, _PATIENCE_SECONDS))
        except (ConnectionClosed, DeferredTimeout):
            return await self._own()

    async def _overview(self) -> dict[str, Any]:
        return attrs.asdict(await self._own())

    def figures(self, health: Health, metrics: Metrics) -> Figures:
        """See `Alone`."""
        self._figures = Figures(health, metrics)
        return self._figures

    async def _problems(self) -> list[str]:
        return (await self._figures.report()).problems

    async def _all_figures(self) -> dict[str, Any]:
        return {"problems": await self._problems(), "families": self._figures.families()}


@attrs.frozen
class _DistantAccount:
    """One with the first process, over the line to it."""

    _line: Line

    async def ask(self, step: str, **about: Any) -> None:
        """See `Account`."""
        try:
            refusal = await self._line.ask("account", [step, about], _COUNT_SECONDS)
        except (ConnectionClosed, DeferredTimeout):
            raise Overloaded("the server is too busy to tell what the collection has") from None
        if refusal:
            raise QuotaExceeded(refusal)

    def tell(self, step: str, **about: Any) -> None:
        """See `Account`."""
        self._line.tell("account", [step, about])


def main() -> None:
    """Be one of the daemon's processes; the first argument is its number."""
    end_with_parent()
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    end = socket.socket(fileno=LINE)
    try:
        birth = hear(end)
    except EOFError:
        return
    log = _begin_log(birth["log_format"])
    share = Share(int(sys.argv[1]), birth["of"])
    try:
        running = _assemble(birth, Other(share, end, birth["listen"]), log)
    except ConfigError as error:
        _log.error("Process {number} cannot start: {mistakes}", number=share.number, mistakes="; ".join(error.mistakes))
        sys.exit(1)
    except Exception:
        _log.failure("Process {number} cannot start", number=share.number)
        sys.exit(1)
    _run(running)


def _assemble(birth: dict[str, Any], family: Other, log: DaemonLog | None) -> Running:
    source = told(birth["source"])
    graph = build(source.load(), family.lasting())
    setDebugging(graph.settings.debug)
    family.running = Running(source, graph, log, family)
    return family.running


def _begin_log(form: str | None) -> DaemonLog | None:
    """Log to the first process: whole lines of that form, or, if it is None, what it is to make lines of."""
    if form:
        log = DaemonLog(sys.stdout, form == "json")
        globalLogBeginner.beginLoggingTo([log])
        return log

    def text(event: LogEvent) -> str:
        return eventAsText(event, includeTimestamp=False, includeSystem=False) + "\n"

    globalLogBeginner.beginLoggingTo([FileLogObserver(sys.stdout, text)])
    return None


def _run(running: Running) -> None:
    """What twistd does with the service of the first process."""
    from twisted.internet import reactor

    core = IReactorCore(reactor)
    running.privilegedStartService()
    running.startService()
    core.addSystemEventTrigger("before", "shutdown", running.stopService)
    core.run()
