"""Removing what nobody will finish from a remote store, at the start and now and then, while nobody waits for it."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import AssetError
from was_daemon.stores.instances import Instance

_SWEPT_EACH = 3600
"""Seconds after which a place is looked through again, for what other daemons have left meanwhile."""


class Sweeper:
    """The places of one store where uploads are begun, and what is over there; see `Instance`."""

    _log = Logger()

    def __init__(self, instance: Instance, sweep: Callable[[str], Awaitable[int]]) -> None:
        """`sweep` removes from a place what is over, and fires with how many uploads that was."""
        self._instance = instance
        self._sweep = sweep
        self._sweeping = BackgroundTasks()
        self._swept: dict[str, float] = {}

    async def settle(self, directory: Path) -> None:
        """See `IUnfinished`."""
        await self._instance.settle(directory)

    async def clean(self) -> int:
        """See `IUnfinished`."""
        return await self._instance.clean(self._sweep)

    def tidy(self, place: str) -> None:
        """Begin to look through `place` if it is time; the store has just been written to, so it works."""
        if self._instance.is_waited_for:
            self._begin_if_due("what ended daemons left", self.clean)
        self._begin_if_due(place, partial(self._sweep, place))

    def _begin_if_due(self, what: str, step: Callable[[], Awaitable[int]]) -> None:
        now = time.monotonic()
        if what not in self._swept or now - self._swept[what] >= _SWEPT_EACH:
            self._swept[what] = now
            self._sweeping.start(self._try(what, step))

    async def _try(self, what: str, step: Callable[[], Awaitable[int]]) -> None:
        try:
            removed = await step()
        except AssetError as error:
            self._log.warn("{what} could not be tidied up: {error}", what=what, error=error)
            return
        if removed:
            self._log.info("{what}: removed {removed} unfinished uploads", what=what, removed=removed)

    def cancel(self) -> None:
        """Stop looking."""
        self._sweeping.cancel()

    async def close(self) -> None:
        """Let later processes know that nothing is under way here any more."""
        self.cancel()
        await self._instance.close()
