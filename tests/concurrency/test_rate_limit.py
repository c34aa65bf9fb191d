"""Limits on how fast work in the background goes on, by a clock of their own."""

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, succeed

from was_daemon.concurrency import rate_limit
from was_daemon.concurrency.rate_limit import RateLimit


class _Clock:
    """A clock on which time passes only while somebody waits, and timers fire a little late."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, _reactor: object, seconds: float) -> Deferred[None]:
        self.now += seconds + 0.001
        return succeed(None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(rate_limit, "time", clock)
    monkeypatch.setattr(rate_limit, "deferLater", clock.wait)
    return clock


@pytest_twisted.ensureDeferred
async def test_no_more_than_the_rate_in_the_long_run_and_hardly_less(clock: _Clock) -> None:
    limit = RateLimit(1000, burst=1.0)
    for _ in range(5000):
        await limit.wait(10)
    assert 49 <= clock.now - 1000 <= 50.1


@pytest_twisted.ensureDeferred
async def test_a_long_pause_is_made_up_for_by_the_burst_only(clock: _Clock) -> None:
    limit = RateLimit(1000, burst=1.0)
    await limit.wait(10)
    clock.now += 3600
    begin = clock.now
    await limit.wait(5000)
    assert 3.9 <= clock.now - begin <= 4.1


@pytest_twisted.ensureDeferred
async def test_without_a_rate_nobody_waits(clock: _Clock) -> None:
    await RateLimit(None).wait(1 << 40)
    assert clock.now == 1000
