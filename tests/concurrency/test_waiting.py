"""A waiter may leave, and the work goes on."""

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.concurrency.waiting import shield


@pytest_twisted.ensureDeferred
async def test_a_shielded_waiter_gets_the_result() -> None:
    work: Deferred[int] = Deferred()
    waiter = shield(work)
    work.callback(7)
    assert await waiter == 7


@pytest_twisted.ensureDeferred
async def test_a_shielded_waiter_gets_the_error() -> None:
    work: Deferred[int] = Deferred()
    waiter = shield(work)
    work.errback(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await waiter


@pytest_twisted.ensureDeferred
async def test_work_goes_on_without_its_waiter_and_its_result_is_dealt_with() -> None:
    cancelled: list[object] = []
    work: Deferred[int] = Deferred(cancelled.append)
    unclaimed: list[object] = []
    waiter = shield(work, unclaimed.append)
    waiter.cancel()
    with pytest.raises(CancelledError):
        await waiter
    assert not cancelled
    work.callback(7)
    assert unclaimed == [7]


@pytest_twisted.ensureDeferred
async def test_whoever_waits_for_background_tasks_may_leave_without_cancelling_them() -> None:
    tasks, ended = BackgroundTasks(), list[str]()
    leave: Deferred[None] = Deferred()

    async def work() -> None:
        await leave
        ended.append("work")

    tasks.start(work())
    finishing = Deferred.fromCoroutine(tasks.finish())
    finishing.cancel()
    with pytest.raises(CancelledError):
        await finishing
    leave.callback(None)
    assert ended == ["work"]
    await tasks.finish()


@pytest_twisted.ensureDeferred
async def test_finishing_waits_for_tasks_that_others_have_started_meanwhile() -> None:
    tasks = BackgroundTasks()
    first, second = Deferred[None](), Deferred[None]()

    async def work() -> None:
        await first
        tasks.start(wait_for_second())

    async def wait_for_second() -> None:
        await second

    tasks.start(work())
    finishing = Deferred.fromCoroutine(tasks.finish())
    first.callback(None)
    assert not finishing.called
    second.callback(None)
    await finishing
