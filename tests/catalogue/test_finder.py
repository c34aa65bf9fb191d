"""Searches of a catalogue whose database does not answer."""

from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.finder import REQUEST_SECONDS, Finder
from was_daemon.catalogue.searching import Page
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.search import Search


class Silent:
    """A catalogue whose searches end when a test ends them."""

    def __init__(self) -> None:
        self.searches: list[Deferred[Page]] = []

    def read(self, *_: Any) -> Deferred[Page]:
        self.searches.append(Deferred())
        return self.searches[-1]


@pytest.fixture
def catalogue() -> Silent:
    return Silent()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def finder(catalogue: Silent, clock: Clock) -> Finder:
    finder = Finder(cast(Catalogue, catalogue), None, REQUEST_SECONDS)
    finder._clock = cast(Any, clock)
    return finder


def ask(finder: Finder) -> list[Any]:
    """Ask; the list has the answer, or the error, as soon as it is there."""
    answers: list[Any] = []
    Deferred.fromCoroutine(finder.page(Search(), None, 10)).addErrback(lambda failure: failure.value).addCallback(
        answers.append
    )
    return answers


def test_whoever_waits_behind_a_search_without_an_answer_waits_no_longer_than_the_first(
    finder: Finder, catalogue: Silent, clock: Clock
) -> None:
    waiting = [ask(finder) for _ in range(100)]
    clock.advance(REQUEST_SECONDS / 2)
    late = ask(finder)
    clock.advance(REQUEST_SECONDS / 2)
    for answers in waiting:
        [error] = answers
        assert isinstance(error, StoreUnavailable)
        assert str(error) == "the catalogue does not answer at the moment"
    # The database has the first one still, and is not given others besides.
    assert (len(catalogue.searches), late) == (1, [])
    catalogue.searches[0].callback(Page([], None))
    assert len(catalogue.searches) == 2
    catalogue.searches[1].callback(Page([], None))
    assert late == [Page([], None)]
    assert not clock.getDelayedCalls()


def test_a_search_that_fails_makes_room_for_the_next(finder: Finder, catalogue: Silent) -> None:
    first, second = ask(finder), ask(finder)
    catalogue.searches[0].errback(StoreUnavailable("it is down"))
    assert str(first[0]) == "it is down"
    catalogue.searches[1].callback(Page([], None))
    assert second == [Page([], None)]
