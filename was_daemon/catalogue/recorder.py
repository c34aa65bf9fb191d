"""Recording of changes of originals in the catalogue, while they happen."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.hashing import HashedFile
from was_daemon.catalogue.journal import Unsettled
from was_daemon.library.changes import Change
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IStagingFile
from was_daemon.model.lookup import find_stat
from was_daemon.model.trash import NOTHING_KNOWN, Known, Reason

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue

_PATIENCE_SECONDS = 1.0
"""Time that a deletion or a replacement waits for what the catalogue knows of the version before."""


@attrs.frozen
class Recorder:
    """Recorder of uploads and deletions; does nothing without `catalogue`.

    No change fails because it cannot be recorded: that is logged.
    """

    catalogue: "Catalogue | None" = None

    _log = Logger()

    def watch(self, staged: IStagingFile) -> IStagingFile:
        """Return a staging file that computes the digest of the bytes written to `staged`."""
        return HashedFile(staged) if self.catalogue else staged

    @asynccontextmanager
    async def changing(self, change: Change) -> AsyncIterator[None]:
        """Enter the change in the journal before it begins, and what has come of it; a participant of changes."""
        if self.catalogue is None:
            yield
            return
        catalogue = self.catalogue
        previous = await change.previous()
        if change.keeps_previous and previous:
            change.known = await self._known(change)
        event = await _event_of(change, previous is not None)
        number = await self._begin(event)
        try:
            yield
        except BaseException:
            if number is not None:
                catalogue.settle(Unsettled(number, event, has_failed=True), change.place.store, previous)
            raise
        at = time.time()
        # What another daemon has put in its place meanwhile has another digest.
        digest = event.digest if event.digest and await _is_current(change) else None
        catalogue.complete(number, attrs.evolve(event, at=at, digest=digest))

    async def _begin(self, event: Event) -> int | None:
        assert self.catalogue  # noqa: S101 - `changing` has looked
        try:
            return await self.catalogue.journal.begin(event)
        except AssetError as error:
            self._log.error("{error}", error=error)
            return None

    async def _known(self, change: Change) -> Known:
        """Fire with what the catalogue knows of the version that is replaced or deleted; nothing while it is down."""
        from twisted.internet import reactor

        assert self.catalogue  # noqa: S101 - `changing` has looked
        finding = Deferred.fromCoroutine(self.catalogue.known(change.place.name, change.key))
        try:
            return await finding.addTimeout(_PATIENCE_SECONDS, IReactorTime(reactor))
        except (AssetError, DeferredTimeout):
            return NOTHING_KNOWN


async def _event_of(change: Change, will_replace: bool) -> Event:
    """Fire with the event by which a change ends if all goes well."""
    name, key, staged = change.place.name, change.key, change.staged
    if change.restored:
        known = change.restored.known
        return Event.new(EventKind.RESTORED, name, key, known.digest, known.origin)
    if staged is None:
        kind = EventKind.QUARANTINED if change.reason is Reason.QUARANTINED else EventKind.DELETED
        return Event.new(kind, name, key, origin=change.origin)
    assert isinstance(staged, HashedFile)  # noqa: S101  # `watch` has seen to it
    kind = EventKind.REPLACED if will_replace else EventKind.STORED
    return Event.new(kind, name, key, await staged.digest(), change.origin)


async def _is_current(change: Change) -> bool:
    """Fire with whether the store still has what was stored; when it cannot be asked, that is assumed."""
    with suppress(AssetError):
        current = await find_stat(change.place.store, change.key)
        return current is not None and change.stored is not None and current.etag == change.stored.etag
    return True
