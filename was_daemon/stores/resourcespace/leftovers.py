"""Removal of resources that are no assets: of failed uploads at once, of those that killed processes left later."""

import time
from collections.abc import Awaitable, Callable
from datetime import tzinfo

from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import AssetError
from was_daemon.stores.resourcespace.resources import Resource, seconds

_ABANDONED_SECONDS = 2 * 86_400
"""Age at which a resource without a file is abandoned: longer than an upload takes, whatever the time zones are."""


class Leftovers:
    """Resources that are to be removed, and removals under way."""

    _log = Logger()

    def __init__(self, delete: Callable[[int], Awaitable[object]], zone: tzinfo) -> None:
        """Make a remover; `delete` deletes the resource with a number, the second time for ever."""
        self._delete = delete
        self._zone = zone
        self._left: set[int] = set()
        self._removing = BackgroundTasks()

    async def remove(self, ref: int) -> None:
        """Remove a resource for good if that is allowed. One that cannot be removed now is removed after `retry`."""
        try:
            await self._delete(ref)
        except AssetError as error:
            self._log.warn("Resource {ref} could not be removed yet: {error}", ref=ref, error=error.reason or error)
            self._left.add(ref)

    def discard(self, ref: int) -> None:
        """Begin to remove a resource."""
        self._removing.start(self.remove(ref))

    def retry(self) -> None:
        """Begin to remove what could not be removed before. To be called when ResourceSpace is known to work."""
        while self._left:
            self.discard(self._left.pop())

    def abandon(self, resource: Resource) -> None:
        """Begin to remove a resource without a file if no upload to it can be under way any more."""
        created = seconds(resource.created, self._zone)
        if created is not None and created < time.time() - _ABANDONED_SECONDS:
            self.discard(resource.ref)

    async def finish(self) -> None:
        """Wait until nothing is being removed."""
        await self._removing.finish()
