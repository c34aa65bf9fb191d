"""Bodies that arrive slowly, or hardly at all."""

from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from was_daemon.model.errors import StoreTimeout
from was_daemon.stores.http.body import Download
from was_daemon.stores.http.pace import MIN_RATE
from was_daemon.stores.http.progress import Watchdog
from was_daemon.testing.streams import collect

PATIENCE = 30.0


class Line:
    """A connection that is paused and resumed."""

    def pauseProducing(self) -> None:
        return

    def resumeProducing(self) -> None:
        return

    def stopProducing(self) -> None:
        return


class Arriving:
    """A body that somebody reads while it arrives; `outcome` has the bytes, or the error, when that is over."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.download = Download()
        self.download.transport = cast(Any, Line())
        self.outcome: list[Any] = []
        watchdog = Watchdog(cast(Any, self.clock), PATIENCE)
        reading = Deferred.fromCoroutine(collect(self.download.chunks(watchdog)))
        reading.addErrback(lambda failure: failure.value).addCallback(self.outcome.append)

    def after(self, seconds: float, size: int) -> None:
        """So many seconds pass, then bytes arrive."""
        self.clock.advance(seconds)
        self.download.dataReceived(bytes(size))

    def end(self) -> None:
        self.download.connectionLost(Failure(ResponseDone()))


@pytest.fixture
def arriving() -> Arriving:
    return Arriving()


def test_a_store_that_sends_a_byte_now_and_then_is_given_up(arriving: Arriving) -> None:
    for _ in range(1000):
        arriving.after(1, 1)
        if arriving.outcome:
            break
    [error] = arriving.outcome
    assert isinstance(error, StoreTimeout)
    assert arriving.clock.seconds() == 2 * PATIENCE


def test_one_that_was_quick_and_hardly_sends_any_more_is_given_up_as_soon(arriving: Arriving) -> None:
    for _ in range(1000):
        arriving.after(1, 1 << 20)
    for _ in range(1000):
        arriving.after(1, 1)
    [error] = arriving.outcome
    assert isinstance(error, StoreTimeout)


def test_a_slow_line_is_none(arriving: Arriving) -> None:
    for _ in range(1000):
        arriving.after(PATIENCE - 1, int(PATIENCE) * MIN_RATE)
    arriving.end()
    assert sum(map(len, arriving.outcome[0])) == 1000 * int(PATIENCE) * MIN_RATE


def test_a_store_may_take_its_time_for_the_first_bytes(arriving: Arriving) -> None:
    arriving.after(PATIENCE - 1, 1)
    arriving.after(PATIENCE - 1, 99)
    arriving.end()
    assert sum(map(len, arriving.outcome[0])) == 100


@pytest_twisted.ensureDeferred
async def test_time_in_which_nobody_reads_is_not_the_stores() -> None:
    clock, download = Clock(), Download()
    chunks = download.chunks(Watchdog(cast(Any, clock), PATIENCE))
    for _ in range(100):
        download.dataReceived(b"x")
        assert await anext(chunks) == b"x"
        clock.advance(10 * PATIENCE)
    await chunks.aclose()
