"""How events are gathered on their way from the journal to the database."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.journal import Journal
from was_daemon.catalogue.transfer import BATCH, Transfer
from was_daemon.model.keys import AssetKey, Kind

LONG = 1.0


class BusyDatabase:
    """Database that records events until the test says that it is done."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._recording: Deferred[None] = Deferred()

    def run(self, _step: Any, events: Sequence[Event]) -> Deferred[None]:
        self.sizes.append(len(events))
        self._recording = Deferred()
        return self._recording

    def finish(self) -> None:
        self._recording.callback(None)


class EmptyJournal:
    """Journal that forgets the changes that end."""

    async def end(self, _numbers: Sequence[int]) -> None:
        pass


class Fixture:
    """A transfer to a database that is busy with one event."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.database = BusyDatabase()
        database, journal = cast(CatalogueDatabase, self.database), cast(Journal, EmptyJournal())
        self._transfer = Transfer(database, journal, self.clock)
        self.complete(1)
        self.clock.advance(LONG)
        assert self.database.sizes == [1]

    def complete(self, count: int) -> None:
        for number in range(count):
            key = AssetKey("Fish", Kind.ORIGINAL, f"{number}.jpg")
            self._transfer.complete(number, Event.new(EventKind.STORED, "main", key))


@pytest.fixture
def busy() -> Fixture:
    return Fixture()


def test_what_comes_while_others_are_recorded_is_gathered_again(busy: Fixture) -> None:
    busy.complete(3)
    busy.database.finish()
    busy.complete(4)
    assert busy.database.sizes == [1]
    busy.clock.advance(LONG)
    assert busy.database.sizes == [1, 7]


def test_many_that_come_meanwhile_are_recorded_at_once(busy: Fixture) -> None:
    busy.complete(BATCH + 3)
    busy.database.finish()
    assert busy.database.sizes == [1, BATCH]
    busy.database.finish()
    assert busy.database.sizes == [1, BATCH]
    busy.clock.advance(LONG)
    assert busy.database.sizes == [1, BATCH, 3]
