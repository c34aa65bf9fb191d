"""One connection for everybody, one attempt at a time, and not too often."""

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.sftp.reconnect import Reconnector


class Server:
    """Counts the attempts; each waits until the test decides how it ends."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.attempts: list[Deferred[str]] = []
        self.alive = True
        self.connections = Reconnector(self.clock, self.connect, lambda _: self.alive, shortest=1, longest=4)

    async def connect(self) -> str:
        self.attempts.append(Deferred())
        return await self.attempts[-1]

    def get(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self.connections.get())


def failure(waiting: Deferred[str]) -> Exception:
    caught: list[Exception] = []
    waiting.addErrback(lambda reason: caught.append(reason.value))
    return caught[0]


@pytest.fixture
def server() -> Server:
    return Server()


def test_all_who_wait_share_one_attempt_and_its_connection(server: Server) -> None:
    waiting = [server.get() for _ in range(3)]
    assert len(server.attempts) == 1
    server.attempts[0].callback("connection")
    assert [each.result for each in [*waiting, server.get()]] == ["connection"] * 4
    assert len(server.attempts) == 1


def test_all_who_wait_share_its_failure(server: Server) -> None:
    waiting = [server.get() for _ in range(3)]
    server.attempts[0].errback(StoreUnavailable("down"))
    assert [str(failure(each)) for each in waiting] == ["down"] * 3


def test_an_attempt_that_fails_at_once_is_not_the_last_one() -> None:
    clock, attempts = Clock(), []

    async def connect() -> str:
        attempts.append(clock.seconds())
        raise StoreUnavailable("the key cannot be read")

    connections = Reconnector(clock, connect, lambda _: True, shortest=1, longest=4)
    for _ in range(3):
        assert str(failure(Deferred.fromCoroutine(connections.get()))) == "the key cannot be read"
        clock.advance(10)
    assert attempts == [0, 10, 20]


def test_whoever_stops_waiting_leaves_the_attempt_to_the_others(server: Server) -> None:
    impatient, patient = server.get(), server.get()
    impatient.cancel()
    assert isinstance(failure(impatient), CancelledError)
    server.attempts[0].callback("connection")
    assert patient.result == "connection"


def test_after_each_failure_it_waits_twice_as_long_and_says_so_at_once(server: Server) -> None:
    for pause in (1, 2, 4, 4):
        waiting = server.get()
        server.attempts[-1].errback(StoreUnavailable("down"))
        failure(waiting)
        attempts = len(server.attempts)
        server.clock.advance(pause - 0.1)
        assert str(failure(server.get())) == "down"
        assert len(server.attempts) == attempts
        server.clock.advance(0.2)


def test_a_lost_connection_is_made_again_at_once(server: Server) -> None:
    server.get()
    server.attempts[0].callback("first")
    server.alive = False
    again = server.get()
    server.alive = True
    server.attempts[1].callback("second")
    assert again.result == "second"


def test_a_bug_is_no_reason_to_wait(server: Server) -> None:
    waiting = server.get()
    server.attempts[0].errback(ZeroDivisionError())
    assert isinstance(failure(waiting), ZeroDivisionError)
    again = server.get()
    server.attempts[1].callback("connection")
    assert again.result == "connection"


def test_closing_ends_the_attempt(server: Server) -> None:
    waiting = server.get()
    server.connections.close()
    assert isinstance(failure(waiting), StoreUnavailable)
