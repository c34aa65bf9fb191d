"""Changes of originals, and what takes part in them."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import attrs

from was_daemon.library.collections import Place
from was_daemon.model.interfaces import AssetStat, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.model.lookup import find_replaced, find_stat
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin
from was_daemon.model.trash import NOTHING_KNOWN, Known, Reason, TrashedVersion


@attrs.define(eq=False)
class Change:
    """The change of one original: `staged` or `restored`, a version from the trash, is put or replaces it.

    Without both it is deleted, for `reason`, about which `note` may tell more. The lock of `key` is held from the first
    use to the last. `origin` is where it comes from; `stored` is what the store told of the new version, None before
    that and after a deletion. With `keeps_previous` the version that is replaced or deleted comes into the trash, and
    `known` is what the catalogue knows of it.
    """

    place: Place
    key: AssetKey
    staged: IStagingFile | None = None
    origin: Origin = UNKNOWN_ORIGIN
    restored: TrashedVersion | None = None
    reason: Reason = Reason.DELETED
    note: str = ""
    keeps_previous: bool = attrs.field(default=False, init=False)
    known: Known = attrs.field(default=NOTHING_KNOWN, init=False)
    stored: AssetStat | None = attrs.field(default=None, init=False)
    _is_looked_up: bool = attrs.field(default=False, init=False)
    _previous: AssetStat | None = attrs.field(default=None, init=False)

    async def previous(self) -> AssetStat | None:
        """Fire with the version that is replaced or deleted, None if there is none; looked up by the first call."""
        if not self._is_looked_up:
            find = find_replaced if self.staged else find_stat
            self._previous = await find(self.place.store, self.key)
            self._is_looked_up = True
        return self._previous

    async def size(self) -> int:
        """Fire with the size of the new version in bytes, 0 for a deletion."""
        if self.restored:
            return self.restored.id.size
        return await self.staged.size() if self.staged else 0


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
