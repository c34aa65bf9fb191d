"""asyncio's event loop as a guest of the reactor."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.sftp.loop import EventLoop

ensure = pytest_twisted.ensureDeferred


@pytest_twisted.async_yield_fixture
async def loop() -> AsyncIterator[EventLoop]:
    loop = EventLoop()
    yield loop
    await loop.close()


async def returning(value: object) -> object:
    return value


@ensure
async def test_a_call_fires_with_the_result_or_the_error(loop) -> None:
    async def fail() -> None:
        raise ValueError("wrong")

    assert await loop.call(lambda: returning(1)) == 1
    with pytest.raises(ValueError, match="wrong"):
        await loop.call(fail)


@ensure
async def test_the_reactor_goes_on_outside_of_the_loop(loop) -> None:
    await loop.call(lambda: asyncio.sleep(0))
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@ensure
async def test_timers_and_threads_wake_the_loop(loop) -> None:
    assert await loop.call(lambda: asyncio.sleep(0.01, "slept")) == "slept"
    assert await loop.call(lambda: asyncio.to_thread(str, 1)) == "1"


@ensure
async def test_a_loop_that_is_always_busy_leaves_the_reactor_its_turns(loop) -> None:
    over: list[bool] = []

    async def be_busy() -> str:
        step = asyncio.get_running_loop().create_future()

        def go_on() -> None:
            if over:
                step.set_result("over")
            else:
                asyncio.get_running_loop().call_soon(go_on)

        go_on()
        return await step

    busy = loop.call(be_busy)
    for _ in range(3):
        await deferLater(reactor, 0)
    over.append(True)
    assert await busy == "over"


@ensure
async def test_the_result_of_a_call_that_was_cancelled_goes_to_who_cleans_up(loop) -> None:
    unclaimed: list[object] = []
    call = loop.call(lambda: returning("a file"), unclaimed.append)
    call.addErrback(lambda _: None)
    call.cancel()
    await loop.call(lambda: asyncio.sleep(0))
    assert unclaimed == ["a file"]


@ensure
async def test_closing_cancels_what_runs_and_leaves_the_reactor_nothing() -> None:
    readers, delayed = set(reactor.getReaders()), set(reactor.getDelayedCalls())
    loop = EventLoop()
    call = loop.call(lambda: asyncio.sleep(1000))
    await loop.call(lambda: asyncio.sleep(0))
    await loop.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await call
    with pytest.raises(StoreUnavailable, match="closed"):
        await loop.call(lambda: asyncio.sleep(0))
    assert set(reactor.getReaders()) == readers
    assert set(reactor.getDelayedCalls()) <= delayed


WITH_ASYNCIO_REACTOR = """
from twisted.internet import asyncioreactor
asyncioreactor.install()
import asyncio
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from was_daemon.stores.sftp.loop import EventLoop

async def main(reactor):
    loop = EventLoop()
    print(await loop.call(lambda: asyncio.sleep(0.01, "slept")))
    print(asyncio.get_running_loop() is reactor._asyncioEventloop)
    await loop.close()

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


def test_the_loop_runs_beside_that_of_an_asyncio_reactor() -> None:
    done = subprocess.run([sys.executable, "-c", WITH_ASYNCIO_REACTOR], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("slept\nTrue\n", "")
