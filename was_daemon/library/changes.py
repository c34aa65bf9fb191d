"""Changes of originals, and what takes part in them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import attrs

from was_daemon.library.collections import Place
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IStagingFile
from was_daemon.model.keys import AssetKey


@attrs.define(eq=False)
class Change:
    """The change of one original: `staged` is put or replaces it; without `staged` it is deleted.

    The lock of `key` is held from the first use to the last. `stored` is what the store told of the new version, None
    before that and after a deletion.
    """

    place: Place
    key: AssetKey
    staged: IStagingFile | None = None
    stored: AssetStat | None = attrs.field(default=None, init=False)
    _is_looked_up: bool = attrs.field(default=False, init=False)
    _previous: AssetStat | None = attrs.field(default=None, init=False)

    async def previous(self) -> AssetStat | None:
        """Fire with the version that is replaced or deleted, None if there is none; looked up by the first call."""
        if not self._is_looked_up:
            try:
                self._previous = await self.place.store.stat(self.key)
            except AssetNotFound:
                self._previous = None
            self._is_looked_up = True
        return self._previous


Participant: TypeAlias = Callable[[Change], AbstractAsyncContextManager[None]]
"""One concern of a change: a context around the store's own step.

Participants are entered in order and left in reverse. Raising on entry refuses the change; the participants entered
before are told by the exception, and the store is not touched.
"""
