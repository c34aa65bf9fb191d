"""What takes part in the change of an original, and in which order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_twisted

from was_daemon.library.changes import Change, Participant, participating
from was_daemon.library.collections import Place
from was_daemon.model.errors import QuotaExceeded, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked

async_test = pytest_twisted.ensureDeferred
KEY = AssetKey("", Kind.ORIGINAL, "a.jpg")


class CountingStore(MemoryStore):
    """Counts look-ups."""

    looked_up = 0

    async def stat(self, key: AssetKey) -> AssetStat:
        self.looked_up += 1
        return await super().stat(key)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def change(store: CountingStore) -> Change:
    return Change(Place("", store, store), KEY)


@pytest.fixture
def events() -> list[str]:
    return []


def participant(events: list[str], name: str, refuses: bool = False) -> Participant:
    @asynccontextmanager
    async def changing(change: Change) -> AsyncIterator[None]:
        if refuses:
            raise QuotaExceeded("no")
        events.append(f"{name} before")
        try:
            yield
        except Exception as error:
            events.append(f"{name} {type(error).__name__}")
            raise
        events.append(f"{name} after")

    return changing


@async_test
async def test_participants_are_entered_in_order_and_left_in_reverse(change: Change, events: list[str]) -> None:
    async with participating(change, [participant(events, "quota"), participant(events, "checksums")]):
        events.append("store")
    assert events == ["quota before", "checksums before", "store", "checksums after", "quota after"]


@async_test
async def test_who_came_before_a_refusal_is_told_and_the_store_is_not_asked(change: Change, events: list[str]) -> None:
    participants = [participant(events, "one"), participant(events, "two", refuses=True), participant(events, "three")]
    with pytest.raises(QuotaExceeded):
        async with participating(change, participants):
            events.append("store")
    assert events == ["one before", "one QuotaExceeded"]


@async_test
async def test_a_failure_of_the_store_is_told_to_all(change: Change, events: list[str]) -> None:
    with pytest.raises(StoreUnavailable):
        async with participating(change, [participant(events, "one"), participant(events, "two")]):
            raise StoreUnavailable("down")
    assert events[2:] == ["two StoreUnavailable", "one StoreUnavailable"]


@async_test
async def test_the_version_that_is_replaced_is_looked_up_once_by_who_asks_first(
    store: CountingStore, change: Change
) -> None:
    stat = await store.write(KEY, chunked(b"abc"))
    assert store.looked_up == 0
    assert [await change.previous(), await change.previous()] == [stat, stat]
    assert store.looked_up == 1


@async_test
async def test_that_nothing_is_replaced_is_looked_up_once_too(store: CountingStore, change: Change) -> None:
    assert [await change.previous(), await change.previous()] == [None, None]
    assert store.looked_up == 1
