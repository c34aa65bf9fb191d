"""A store that does not answer holds up nobody for long, and is left alone for a while."""

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from was_daemon.model.errors import AssetNotFound, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.stores.layers.patience import PATIENCE_SECONDS, REST_SECONDS, Patience
from was_daemon.testing.contract import original
from was_daemon.testing.memory import MemoryStore


class Hanging(MemoryStore):
    """A store that never answers while `hangs`; `cancelled` counts the looks that were given up."""

    hangs = True
    asked = cancelled = 0

    async def stat(self, key):
        self.asked += 1
        if self.hangs:
            try:
                await Deferred()
            except CancelledError:
                self.cancelled += 1
                raise
        return await super().stat(key)


async def look(store: IAssetStore) -> AssetStat:
    return await store.stat(original("a.jpg"))


def asked(patience: Patience, name: str, store: IAssetStore) -> Deferred[AssetStat]:
    return Deferred.fromCoroutine(patience.ask(name, store, look))


def test_a_store_that_does_not_answer_is_given_up_and_left_alone_for_a_while() -> None:
    clock, store, other = Clock(), Hanging(), MemoryStore()
    patience = Patience(clock)
    first = asked(patience, "far", store)
    clock.advance(PATIENCE_SECONDS - 0.1)
    assert not first.called
    clock.advance(0.2)
    assert isinstance(failure_of(first), StoreTimeout)
    assert store.cancelled == 1
    assert isinstance(failure_of(asked(patience, "far", store)), StoreTimeout)
    assert store.asked == 1
    assert isinstance(failure_of(asked(patience, "near", other)), AssetNotFound)
    clock.advance(REST_SECONDS)
    store.hangs = False
    assert isinstance(failure_of(asked(patience, "far", store)), AssetNotFound)
    assert store.asked == 2


@pytest_twisted.ensureDeferred
async def test_a_store_that_answers_with_an_error_is_asked_again() -> None:
    class Refusing(MemoryStore):
        async def stat(self, key):
            raise StoreUnavailable("down")

    patience = Patience(Clock())
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await patience.ask("far", Refusing(), look)


def failure_of(deferred: Deferred[AssetStat]) -> BaseException:
    assert deferred.called
    found: list[BaseException] = []
    deferred.addErrback(lambda failure: found.append(failure.value))
    return found[0]
