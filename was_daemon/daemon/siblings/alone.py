"""A daemon that is one process, and what a process of several does otherwise."""

import signal
from collections.abc import Callable, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.web.server import Site

from was_daemon.concurrency.exclusion import Exclusion
from was_daemon.config.load import Source
from was_daemon.config.share import Share
from was_daemon.daemon.graph import Lasting
from was_daemon.daemon.listening import Listening
from was_daemon.health.checks import Health
from was_daemon.health.figures import Figures
from was_daemon.health.overview import OverviewSource
from was_daemon.library.ledger import Account, Ledger
from was_daemon.telemetry.logs import DaemonLog
from was_daemon.telemetry.metrics import Metrics


class Alone:
    """This process is all there is of the daemon."""

    share = Share()
    exclusion: Exclusion | None = None
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    """What this process heeds."""

    def overview(self, own: OverviewSource) -> OverviewSource:
        """What gives the overview of the daemon, if `own` gives that of this process."""
        return own

    def account(self, own: Callable[[], Ledger]) -> Account:
        """This process's account with who has the counts of collections; `own` opens one with this process."""
        return own()

    def lasting(self) -> Lasting:
        """What outlives every graph of this process."""
        return Lasting.new(self.share, self.exclusion, self.overview, self.account)

    def figures(self, health: Health, metrics: Metrics) -> Figures:
        """What monitoring is told, if these are of this process."""
        return Figures(health, metrics)

    def listening(self, description: str, site: Site) -> Service:
        """What listens for the daemon's clients."""
        return Listening(description, site)

    def changed(self, connections: int) -> None:
        """This process has so many connections now."""

    def begin(self, source: Source, log: DaemonLog | None) -> Deferred[None]:
        """This process serves; fires when all do."""
        return succeed(None)

    def watch(self) -> None:
        """Make sure that no process hangs; to be called once in half the time that one may."""

    def reload(self, source: Source) -> Deferred[None]:
        """This process goes by the settings of `source` now; fires when all do."""
        return succeed(None)

    def stop(self, seconds: float) -> None:
        """The daemon ends, and may take so long."""

    def hurry(self) -> None:
        """It may take no longer."""

    def ended(self) -> Deferred[None]:
        """Wait until there is no other process."""
        return succeed(None)
