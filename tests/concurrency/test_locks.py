"""Locks: shared or exclusive, by key, in order, and nothing kept when nobody needs it."""

import gc
import weakref

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from was_daemon.concurrency.locks import KeyLocks


class Key:
    """Something hashable whose end can be observed."""


class Worker:
    """Holds the lock of a key until it is told to let go."""

    def __init__(self, locks: KeyLocks, key: object, journal: list[str], name: str) -> None:
        self.leave: Deferred[None] = Deferred()
        self._journal = journal
        self._name = name
        self.done = Deferred.fromCoroutine(self._work(locks, key))

    async def _work(self, locks: KeyLocks, key: object) -> None:
        async with locks.exclusive(key):
            self._journal.append(f"{self._name} in")
            try:
                await self.leave
            finally:
                self._journal.append(f"{self._name} out")


@pytest.fixture
def locks() -> KeyLocks:
    return KeyLocks()


@pytest.fixture
def journal() -> list[str]:
    return []


@pytest_twisted.ensureDeferred
async def test_whoever_comes_second_waits(locks: KeyLocks, journal: list[str]) -> None:
    first, second = (Worker(locks, "a", journal, name) for name in ("first", "second"))
    assert journal == ["first in"]
    first.leave.callback(None)
    await first.done
    assert journal == ["first in", "first out", "second in"]
    second.leave.callback(None)
    await second.done


@pytest_twisted.ensureDeferred
async def test_they_come_in_the_order_in_which_they_asked(locks: KeyLocks, journal: list[str]) -> None:
    workers = [Worker(locks, "a", journal, str(number)) for number in range(5)]
    for worker in workers:
        worker.leave.callback(None)
        await worker.done
    assert [entry for entry in journal if entry.endswith("in")] == [f"{number} in" for number in range(5)]
    assert journal == [f"{number} {step}" for number in range(5) for step in ("in", "out")]


@pytest_twisted.ensureDeferred
async def test_other_keys_are_not_held_up(locks: KeyLocks, journal: list[str]) -> None:
    one, other = Worker(locks, "a", journal, "one"), Worker(locks, "b", journal, "other")
    assert journal == ["one in", "other in"]
    for worker in (one, other):
        worker.leave.callback(None)
        await worker.done


@pytest_twisted.ensureDeferred
async def test_an_error_releases_the_lock(locks: KeyLocks, journal: list[str]) -> None:
    first, second = (Worker(locks, "a", journal, name) for name in ("first", "second"))
    first.leave.errback(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await first.done
    assert journal[-1] == "second in"
    second.leave.callback(None)
    await second.done


@pytest_twisted.ensureDeferred
async def test_whoever_is_cancelled_while_holding_it_lets_go(locks: KeyLocks, journal: list[str]) -> None:
    first, second = (Worker(locks, "a", journal, name) for name in ("first", "second"))
    first.done.cancel()
    with pytest.raises(CancelledError):
        await first.done
    assert journal == ["first in", "first out", "second in"]
    second.leave.callback(None)
    await second.done


@pytest_twisted.ensureDeferred
async def test_whoever_is_cancelled_while_waiting_never_gets_it_and_holds_up_nobody(
    locks: KeyLocks, journal: list[str]
) -> None:
    first, second, third = (Worker(locks, "a", journal, name) for name in ("first", "second", "third"))
    second.done.cancel()
    with pytest.raises(CancelledError):
        await second.done
    first.leave.callback(None)
    third.leave.callback(None)
    await first.done
    await third.done
    assert journal == ["first in", "first out", "third in", "third out"]


@pytest_twisted.ensureDeferred
async def test_a_key_is_kept_only_while_somebody_holds_it_or_waits_for_it(locks: KeyLocks, journal: list[str]) -> None:
    key = Key()
    alive = weakref.ref(key)
    workers = [Worker(locks, key, journal, name) for name in ("first", "second", "cancelled")]
    del key
    workers[2].done.cancel()
    with pytest.raises(CancelledError):
        await workers[2].done
    workers[0].leave.callback(None)
    await workers[0].done
    assert alive()
    workers[1].leave.callback(None)
    await workers[1].done
    workers.clear()
    gc.collect()
    assert alive() is None


@pytest_twisted.ensureDeferred
async def test_work_is_settled_when_what_was_begun_before_is_done_and_what_comes_later_does_not_count(
    locks: KeyLocks,
) -> None:
    leave: list[Deferred[None]] = [Deferred(), Deferred(), Deferred()]

    async def work(number: int) -> None:
        await leave[number]

    first = locks.run("a", lambda: work(0))
    cancelled = locks.run("b", lambda: work(1))
    cancelled.addErrback(lambda failure: failure.trap(CancelledError))
    cancelled.cancel()
    settled = Deferred.fromCoroutine(locks.settled())
    later = locks.run("c", lambda: work(2))
    leave[0].callback(None)
    await first
    assert not settled.called
    leave[1].callback(None)
    await settled
    leave[2].callback(None)
    await later


@pytest_twisted.ensureDeferred
async def test_without_work_everything_is_settled(locks: KeyLocks) -> None:
    await locks.settled()


def enter(
    locks: KeyLocks[str], way: str, key: str, journal: list[str], name: str
) -> tuple[Deferred[None], Deferred[None]]:
    """Hold a lock until the first Deferred fires; the second is that of the whole."""
    leave: Deferred[None] = Deferred()

    async def hold() -> None:
        async with getattr(locks, way)(key):
            journal.append(f"{name} in")
            await leave
            journal.append(f"{name} out")

    return leave, Deferred.fromCoroutine(hold())


def test_shared_holders_share_and_an_exclusive_one_waits_for_them_and_goes_before_the_next(
    locks: KeyLocks, journal: list[str]
) -> None:
    first, _ = enter(locks, "shared", "a", journal, "first")
    second, _ = enter(locks, "shared", "a", journal, "second")
    exclusive, _ = enter(locks, "exclusive", "a", journal, "exclusive")
    third, _ = enter(locks, "shared", "a", journal, "third")
    enter(locks, "exclusive", "b", journal, "other")
    for leave in (first, second, exclusive, third):
        leave.callback(None)
    assert journal == [
        "first in",
        "second in",
        "other in",
        "first out",
        "second out",
        "exclusive in",
        "exclusive out",
        "third in",
        "third out",
    ]


def test_whoever_gives_up_waiting_for_shared_holders_holds_up_nobody(locks: KeyLocks, journal: list[str]) -> None:
    shared, _ = enter(locks, "shared", "a", journal, "shared")
    _leave, waiting = enter(locks, "exclusive", "a", journal, "exclusive")
    _leave, behind = enter(locks, "shared", "a", journal, "behind")
    for gone in (behind, waiting):
        gone.addErrback(lambda _failure: None)
        gone.cancel()
    enter(locks, "shared", "a", journal, "next")
    shared.callback(None)
    assert journal == ["shared in", "next in", "shared out"]
