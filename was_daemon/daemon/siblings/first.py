"""The first of several processes: it serves like the others, and looks after them."""

import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.web.server import Site

from was_daemon.concurrency.exclusion import Exclusion
from was_daemon.concurrency.waiting import Waiters
from was_daemon.config.load import Source
from was_daemon.config.share import Share
from was_daemon.daemon.listening import Listening
from was_daemon.daemon.siblings.accepting import Sharing
from was_daemon.daemon.siblings.alone import Alone
from was_daemon.daemon.siblings.board import Board
from was_daemon.daemon.siblings.configuration import to_tell
from was_daemon.daemon.siblings.process import Birth, OtherProcess
from was_daemon.health.checks import Health, Report
from was_daemon.health.figures import Figures, together
from was_daemon.health.overview import Overview, OverviewSource, empty_overview
from was_daemon.library.ledger import Account, Ledger
from was_daemon.telemetry.logs import DaemonLog
from was_daemon.telemetry.metrics import Metrics

_HURRY_SECONDS = 2.0
"""How long the others have to end when the daemon is to stop at once."""

_DEATH_SECONDS = 5.0
"""How long a process may take to die when it is killed."""


class First(Alone):
    """The process that was started, `of` several."""

    _log = Logger()

    def __init__(self, of: int) -> None:
        self.share = Share(1, of)
        self._shared = Board.create(of)
        self._board = Board(self._shared, self.share)
        self.exclusion = Exclusion(self._shared)
        self._own: OverviewSource = empty_overview
        self._ports: list[tuple[str, socket.socket]] = []
        self._source: Source
        self._log_file: DaemonLog | None = None
        self._others = [
            OtherProcess(
                number,
                self._birth,
                {"overview": lambda _: self._overview(), "account": partial(self._account, number)},
                self._said,
                partial(self._changed, number),
            )
            for number in range(2, of + 1)
        ]
        self._ledgers: dict[int, Ledger] = {}
        self._all_serve = Waiters()
        self._deadline: IDelayedCall | None = None

    # -- clients ---------------------------------------------------------------------------------------------------

    def listening(self, description: str, site: Site) -> Service:
        """See `Alone`."""

        def opened(port: socket.socket) -> None:
            self._ports.append((description, port))

        return Listening(description, site, lambda endpoint: Sharing(endpoint, self._board, opened))

    def changed(self, connections: int) -> None:
        """See `Alone`."""
        self._board.say(connections)

    # -- the others ------------------------------------------------------------------------------------------------

    def begin(self, source: Source, log: DaemonLog | None) -> Deferred[None]:
        """See `Alone`."""
        self._source, self._log_file = source, log
        for other in self._others:
            self._board.leave(other.number)
            other.start()
        return self._all_serve.add()

    def _birth(self, number: int) -> Birth:
        document = {
            "of": self.share.of,
            "source": to_tell(self._source),
            "listen": [description for description, _ in self._ports],
            "log_format": self._log_file and self._log_file.form,
        }
        return Birth(document, self._shared, [port.fileno() for _, port in self._ports])

    def _said(self, lines: str) -> None:
        if self._log_file:
            self._log_file.pass_on(lines)
            return
        for line in lines.splitlines():
            self._log.info("{line}", line=line)

    def _changed(self, number: int) -> None:
        if not self._others[number - 2].serves:
            self._board.leave(number)
            self._ledgers[number].forget()
        if all(other.serves for other in self._others):
            self._log.info("{of} processes serve", of=self.share.of)
            self._all_serve.release()

    def watch(self) -> None:
        """See `Alone`."""
        for other in self._others:
            other.watch()

    def reload(self, source: Source) -> Deferred[None]:
        """See `Alone`."""
        self._source = source
        reloads = [Deferred.fromCoroutine(other.reload(to_tell(source))) for other in self._others]
        done: Deferred[Any] = DeferredList(reloads)
        return done.addCallback(lambda _: None)

    def stop(self, seconds: float) -> None:
        """See `Alone`."""
        for other in self._others:
            other.stop()
        self._after(seconds, self._kill)

    def hurry(self) -> None:
        """See `Alone`."""
        for other in self._others:
            other.stop("hurry")
        self._after(_HURRY_SECONDS, self._kill)

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        from twisted.internet import reactor

        if self._deadline and self._deadline.active():
            self._deadline.cancel()
        self._deadline = IReactorTime(reactor).callLater(seconds, step)

    def _kill(self) -> None:
        for other in self._others:
            other.kill()
        self._after(_DEATH_SECONDS, self._give_up)

    def _give_up(self) -> None:
        for other in self._others:
            other.give_up()

    def ended(self) -> Deferred[None]:
        """See `Alone`."""
        gone: Deferred[Any] = DeferredList([other.ended() for other in self._others])

        def over(_: Any) -> None:
            if self._deadline and self._deadline.active():
                self._deadline.cancel()

        return gone.addCallback(over) if self._others else succeed(None)

    # -- what they tell --------------------------------------------------------------------------------------------

    async def _ask(self, what: str) -> dict[int, Any]:
        """The answers of the others, by their numbers; None of those that do not answer."""
        # At the same time: two that hang take no longer than one.
        asked = {other.number: Deferred.fromCoroutine(other.ask(what)) for other in self._others}
        return {number: await answer for number, answer in asked.items()}

    def overview(self, own: OverviewSource) -> OverviewSource:
        """See `Alone`."""
        self._own = own
        return self._look

    async def _look(self) -> Overview:
        others = await self._ask("overview")
        return (await self._own()).with_others(Overview(**each) for each in others.values() if each)

    def account(self, own: Callable[[], Ledger]) -> Account:
        """See `Alone`."""
        self._ledgers = {other.number: own() for other in self._others}
        return own()

    def _account(self, number: int, said: tuple[str, dict[str, Any]]) -> str | None:
        return self._ledgers[number].heed(*said)

    async def _overview(self) -> dict[str, Any]:
        return attrs.asdict(await self._look())

    def figures(self, health: Health, metrics: Metrics) -> "AllFigures":
        """See `Alone`."""
        return AllFigures(health, metrics, self._ask)


@attrs.frozen(eq=False)
class AllFigures(Figures):
    """Those of all processes; `ask` asks the others."""

    _ask: Any

    async def report(self) -> Report:
        """What is the matter, of this process or another."""
        return self._judged(await self._ask("problems"), await self.health.report())

    async def exposition(self) -> bytes:
        """Everything that is counted, by process, in Prometheus' text format."""
        answers = await self._ask("figures")
        problems = {number: answer and answer["problems"] for number, answer in answers.items()}
        self._judged(problems, await self.health.report())
        families = {number: answer["families"] for number, answer in answers.items() if answer}
        return together({1: self.families(), **families})

    def _judged(self, others: Mapping[int, list[str] | None], own: Report) -> Report:
        """The report of all, if `others` have those problems, or did not answer."""
        found: list[str] = []
        for number, problems in others.items():
            if problems is None:
                found.append(f"process {number}: does not serve")
            else:
                found += [f"process {number}: {problem}" for problem in problems if problem not in own.problems]
        report = attrs.evolve(own, processes=found)
        self.metrics.healthy.set(not report.problems)
        return report
