"""Looks into stores that most likely have nothing, and whose answer nobody is to wait for long."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from was_daemon.model.errors import StoreTimeout
from was_daemon.model.interfaces import IAssetStore

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""Seconds to wait for an answer: much less than a store itself waits for its server."""

REST_SECONDS = 30.0
"""Seconds for which a store that has not answered is not asked again."""


class Patience:
    """Asks stores, by name, that are not waited for long; one that has not answered is left alone for a while."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._resting: dict[str, float] = {}

    async def ask(self, name: str, store: IAssetStore, look: Callable[[IAssetStore], Awaitable[T]]) -> T:
        """Fire with what `look` finds in a store; raises what it raises, and `StoreTimeout` without an answer."""
        if self._clock.seconds() < self._resting.get(name, 0):
            raise StoreTimeout(f"{name} has not answered a moment ago")

        async def answer() -> T:
            return await look(store)

        try:
            return await Deferred.fromCoroutine(answer()).addTimeout(PATIENCE_SECONDS, self._clock)
        except (DeferredTimeout, StoreTimeout):
            self._resting[name] = self._clock.seconds() + REST_SECONDS
            raise StoreTimeout(f"{name} does not answer") from None
