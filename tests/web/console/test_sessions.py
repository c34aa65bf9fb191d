"""Sessions and wrong passwords over time, which a clock of the test tells."""

import pytest
from twisted.internet.task import Clock

from was_daemon.web.console.attempts import Attempts
from was_daemon.web.console.sessions import Sessions


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_session_ends_by_itself(clock: Clock) -> None:
    sessions = Sessions(clock)
    session = sessions.begin(3600, "hash")
    clock.advance(3599)
    assert sessions.find(session.id) == session
    clock.advance(1)
    assert sessions.find(session.id) is None


def test_sessions_have_ids_of_their_own_that_nobody_guesses(clock: Clock) -> None:
    sessions = Sessions(clock)
    ids = {sessions.begin(3600, "hash").id for _ in range(50)}
    assert len(ids) == 50
    assert all(len(each) == 43 for each in ids)
    assert sessions.find("") is None


def test_the_oldest_of_many_sessions_gives_way(clock: Clock) -> None:
    sessions = Sessions(clock)
    first, second = sessions.begin(3600, "hash"), sessions.begin(3600, "hash")
    for _ in range(63):
        sessions.begin(3600, "hash")
    assert sessions.find(first.id) is None
    assert sessions.find(second.id) is not None


def test_the_token_of_a_form_is_good_for_its_cookie_and_in_its_process_alone(clock: Clock) -> None:
    sessions, others = Sessions(clock), Sessions(clock)
    token = sessions.form_token("a cookie")
    assert sessions.is_form_token("a cookie", token)
    assert not sessions.is_form_token("another", token)
    assert not sessions.is_form_token("a cookie", "")
    assert not sessions.is_form_token("a cookie", "\udcff")
    assert not others.is_form_token("a cookie", token)


def test_the_wait_doubles_with_each_wrong_password_up_to_five_minutes(clock: Clock) -> None:
    attempts = Attempts(clock)
    waits = []
    for _ in range(20):
        attempts.failed("192.0.2.1")
        waits.append(attempts.wait("192.0.2.1"))
    assert waits[:8] == [0, 0, 0, 0, 2, 4, 8, 16]
    assert waits[-1] == 300
    assert attempts.wait("192.0.2.2") == 0
    clock.advance(299)
    assert attempts.wait("192.0.2.1") == 1
    clock.advance(1)
    assert attempts.wait("192.0.2.1") == 0


def test_the_right_password_and_an_hour_make_wrong_ones_forgotten(clock: Clock) -> None:
    attempts = Attempts(clock)
    for address in ("a", "b"):
        for _ in range(10):
            attempts.failed(address)
    attempts.succeeded("a")
    assert attempts.wait("a") == 0
    clock.advance(3601)
    attempts.failed("c")
    attempts.failed("b")
    assert attempts.wait("b") == 0


def test_whoever_has_many_addresses_waits_with_all_of_them_in_the_end(clock: Clock) -> None:
    attempts = Attempts(clock)
    for number in range(2000):
        attempts.failed(f"2001:db8::{number:x}")
    assert attempts.wait("2001:db8::fffe") == 300
    # Somebody who was there before is not among them.
    assert attempts.wait("2001:db8::1") == 0
