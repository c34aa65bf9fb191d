"""The way of versions of originals into the trash, and back.

A version's record is written before its file is moved or copied, so that no file is in the trash without one. When a
process is killed in between, the version may be in the trash although it is still the stored one: then it is void, and
is not shown. The original is removed from its place as the last step.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import attrs
from twisted.logger import Logger

from was_daemon.library.changes import Change
from was_daemon.library.trash.relocation import copy, move
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.model.lookup import find_readable, find_stat
from was_daemon.model.trash import MAX_NOTE, Reason, TrashedVersion, TrashId


@attrs.frozen
class TrashRules:
    """Rules of the trash: whether deleted and replaced versions come into it, and whether they count in quotas."""

    keeps_deleted: bool = False
    keeps_replaced: bool = False
    counts_in_quotas: bool = False

    def keep(self, change: Change) -> bool:
        """Return whether the version that a change replaces or deletes comes into the trash."""
        if change.staged:
            return self.keeps_replaced
        return self.keeps_deleted or change.restored is not None or change.reason is Reason.QUARANTINED


class Trash:
    """The trash of all collections, by these rules."""

    _log = Logger()

    def __init__(self, rules: TrashRules | None = None) -> None:
        self.rules = rules or TrashRules()

    async def discard(self, change: Change) -> None:
        """Do the store's own step of a deletion: remove the original, or move it into the trash.

        Raises `AssetNotFound`.
        """
        store = change.place.store
        if not change.keeps_previous:
            await store.delete(change.key)
            return
        trashed = await self._record(change, await store.stat(change.key), change.reason)
        try:
            await move(store, change.key, trashed.file)
        except Exception:
            await self._withdraw(store, trashed)
            raise

    @asynccontextmanager
    async def changing(self, change: Change) -> AsyncIterator[None]:
        """Put a copy of the version that is about to be replaced into the trash; a participant of changes."""
        store = change.place.store
        is_replacement = change.staged is not None or change.restored is not None
        # Looked up again: this is as late as possible, and another daemon may have replaced it meanwhile.
        version = await find_readable(store, change.key) if is_replacement and change.keeps_previous else None
        if version is None:
            yield
            return
        trashed = await self._record(change, version, Reason.REPLACED)
        try:
            await copy(store, change.key, trashed.file)
            yield
        except Exception:
            await self._withdraw(store, trashed)
            raise

    async def restore(self, change: Change, replace: bool) -> AssetStat:
        """Do the store's own step of a restoration: move the version to its place; fire with what the store tells.

        Raises `AssetNotFound` when it is not in the trash any more, `AssetExists` without `replace`.
        """
        store, trashed = change.place.store, change.restored
        assert trashed  # noqa: S101 - `Assets.restore` makes such changes only
        await move(store, trashed.file, trashed.key, replace)
        stored = await store.stat(trashed.key)
        await self._remove(store, trashed.record)
        return stored

    async def _record(self, change: Change, version: AssetStat, reason: Reason) -> TrashedVersion:
        """Write the record of a version that is about to come into the trash."""
        trashed = TrashedVersion(
            TrashId.new(change.key.name, time.time(), version.size),
            change.key,
            reason,
            version,
            change.known,
            change.origin.address,
            change.note[:MAX_NOTE],
        )
        record = trashed.encoded()
        await change.place.store.write(trashed.record, _chunks(record), len(record))
        return trashed

    async def _withdraw(self, store: IAssetStore, trashed: TrashedVersion) -> None:
        """Remove from the trash what a change that failed has put there, as far as the original is still in place."""
        try:
            has_file = await find_stat(store, trashed.file) is not None
            if has_file and not await is_void(store, trashed):
                return
            if has_file:
                await self._remove(store, trashed.file)
            await self._remove(store, trashed.record)
        except AssetError as error:
            # It is void, and will be removed later.
            self._log.warn("A version of {key} stays in the trash: {error}", key=trashed.key, error=error)

    async def _remove(self, store: IAssetStore, key: AssetKey) -> None:
        try:
            with suppress(AssetNotFound):
                await store.delete(key)
        except AssetError as error:
            self._log.warn("{key} could not be removed yet: {error}", key=key, error=error)


async def is_void(store: IAssetStore, trashed: TrashedVersion) -> bool:
    """Fire with whether a version in the trash is still, or again, the stored original."""
    current = await find_stat(store, trashed.key)
    return current is not None and (current.etag, current.size) == (trashed.version.etag, trashed.version.size)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
