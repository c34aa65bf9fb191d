"""Changes of originals, and what takes part in them."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import attrs

from was_daemon.library.collections import Place
from was_daemon.library.store_steps import find_stat
from was_daemon.model.interfaces import AssetStat, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin


@attrs.define(eq=False)
class Change:
    """The change of one original: `staged` is put or replaces it; without `staged` it is deleted.

    The lock of `key` is held from the first use to the last. `origin` is where it comes from; `stored` is what
    the store told of the new version, None before that and after a deletion.
    """

    place: Place
    key: AssetKey
    staged: IStagingFile | None = None
    origin: Origin = UNKNOWN_ORIGIN
    stored: AssetStat | None = attrs.field(default=None, init=False)
    _is_looked_up: bool = attrs.field(default=False, init=False)
    _previous: AssetStat | None = attrs.field(default=None, init=False)

    async def previous(self) -> AssetStat | None:
        """Fire with the version that is replaced or deleted, None if there is none; looked up by the first call."""
        if not self._is_looked_up:
            self._previous = await find_stat(self.place.store, self.key)
            self._is_looked_up = True
        return self._previous


Participant: TypeAlias = Callable[[Change], AbstractAsyncContextManager[None]]
"""One concern of a change: a context around the store's own step, which may refuse the change by raising on entry."""


@asynccontextmanager
async def participating(change: Change, participants: Iterable[Participant]) -> AsyncIterator[None]:
    """Enter the participants of a change in order, for the store's own step, and leave them in reverse.

    What the step or a participant raises is raised in all participants that were entered before.
    """
    async with AsyncExitStack() as entered:
        for participant in participants:
            await entered.enter_async_context(participant(change))
        yield
