"""Work that nobody waits for, until the store is closed."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred


class Background:
    """Tasks under way. Each deals with its own errors."""

    def __init__(self) -> None:
        self._running: set[Deferred[object]] = set()

    def start(self, step: Coroutine[Deferred[Any], Any, object]) -> None:
        """Begin `step`, and let it go on."""
        task = Deferred.fromCoroutine(step)
        self._running.add(task)

        def ended(result: object) -> object:
            self._running.discard(task)
            return result

        task.addBoth(ended).addErrback(lambda failure: failure.trap(CancelledError))

    def cancel(self) -> None:
        """Give up what is under way."""
        for task in list(self._running):
            task.cancel()

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        while self._running:
            await self._running.pop()
