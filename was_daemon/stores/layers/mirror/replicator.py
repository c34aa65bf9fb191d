"""The changes of one copy of a mirror: it gets what the primary has, or has not, at that moment."""

from contextlib import aclosing, suppress

import attrs

from was_daemon.model.digests import HashedStream
from was_daemon.model.errors import AssetError, AssetNotFound, CannotMove, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IMoves
from was_daemon.model.keys import AssetKey
from was_daemon.model.mirror import Action, CopiedVersion
from was_daemon.stores.layers.mirror.changes import Waiting
from was_daemon.stores.layers.mirror.journal import MirrorJournal

_ATTEMPTS = 5
"""Versions of one asset that are copied one after the other, each replaced meanwhile."""


class LostVersion(Exception):
    """The primary does not have the version that was to be copied, and nobody has deleted it."""


class LaterChange(Exception):
    """Another change of the asset is under way, or has taken the place of the one that was to be carried out."""


@attrs.frozen
class Replicator:
    """The way of changes into the store `copy`, which is called `name`."""

    primary: IAssetStore
    name: str
    copy: IAssetStore
    journal: MirrorJournal

    async def carry_out(self, waiting: Waiting) -> None:
        """Make the copy of one asset like the primary, and note that in the journal.

        An asset is deleted from the copy only if somebody has deleted it, never because the primary does not have it.
        Raises `LostVersion`, `LaterChange`, and what the stores raise.
        """
        if not waiting.is_done and await self._has_current(waiting):
            return
        for _ in range(_ATTEMPTS):
            reader = await self._open(waiting.key)
            if reader is None:
                await self._without_asset(waiting)
                return
            try:
                version = await self._write(waiting, reader)
            finally:
                await reader.close()
            if await self._is_current(waiting.key, version):
                await self.journal.settle(waiting, version)
                return
        raise StoreUnavailable("the asset keeps changing")

    async def _has_current(self, waiting: Waiting) -> bool:
        """Settle a change that the primary has most likely not made, if the copy has the primary's version."""
        known = await self.journal.version(self.name, waiting.key)
        if known is None:
            return False
        try:
            if (await self.primary.stat(waiting.key)).etag != known.etag:
                return False
        except AssetNotFound:
            return False
        await self.journal.settle(waiting, known)
        return True

    async def _open(self, key: AssetKey) -> IAssetReader | None:
        try:
            return await self.primary.open(key)
        except AssetNotFound:
            return None
        except AssetError as error:
            raise type(error)(f"the primary: {error}") from error

    async def _is_current(self, key: AssetKey, version: CopiedVersion) -> bool:
        """Fire with whether the primary has this version; without an asset, what comes next is in the journal."""
        try:
            return (await self.primary.stat(key)).etag == version.etag
        except AssetNotFound:
            return True

    async def _without_asset(self, waiting: Waiting) -> None:
        known = await self.journal.version(self.name, waiting.key)
        if waiting.action is Action.DELETE:
            with suppress(AssetNotFound):
                await self.copy.delete(waiting.key)
            known = None
        elif waiting.is_done:
            if await self.journal.is_deleted_since(waiting):
                raise LaterChange
            raise LostVersion
        # An upload that nobody was told of was not made, or is lost: then that is as if it was not made.
        await self.journal.settle(waiting, known)

    async def _write(self, waiting: Waiting, reader: IAssetReader) -> CopiedVersion:
        moved = await self._copy_within(waiting, reader.stat)
        if moved:
            return moved
        stream = HashedStream(reader)
        async with aclosing(stream.chunks()) as chunks:
            stored = await self.copy.write(waiting.key, chunks, reader.stat.size)
        if not stored.size == stream.digest.size == reader.stat.size:
            raise StoreFailed("the copy does not have the size of the asset after it was written")
        return _version(reader.stat, stored, stream.digest.sha256)

    async def _copy_within(self, waiting: Waiting, version: AssetStat) -> CopiedVersion | None:
        """Have the copy's own server copy an asset that was moved in the primary, such as to the trash, if it can.

        Only a version that is known to be there: a file that was renamed has the ETag that it had before.
        """
        if waiting.source is None or not IMoves.providedBy(self.copy):
            return None
        known = await self.journal.version(self.name, waiting.source)
        if known is None or known.etag != version.etag or await self.journal.version(self.name, waiting.key):
            return None
        try:
            if (await self.copy.stat(waiting.source)).etag != known.copy_etag:
                return None
            await IMoves(self.copy).copy(waiting.source, waiting.key)
            stored = await self.copy.stat(waiting.key)
        except (AssetNotFound, CannotMove):
            return None
        return _version(version, stored, known.sha256) if stored.size == version.size else None


def _version(original: AssetStat, stored: AssetStat, sha256: str | None) -> CopiedVersion:
    return CopiedVersion(original.size, original.modified, original.etag, stored.etag, sha256)
