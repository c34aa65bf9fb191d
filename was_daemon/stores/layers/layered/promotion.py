"""Promotion: a verified copy of an original in the first layer, made while others may replace or delete it.

It is made under the key of a record, read back, and moved to its place, which the first layer does as one step and only
if there is nothing of that name. Whoever deletes the original first hides or deletes it in the layers below, then
removes that copy, and last what is in the place. So either the promotion sees that the original is gone, or it has no
copy to move any more, or what it has moved is deleted.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

import attrs

from was_daemon.model.digests import HashedStream, digest_of
from was_daemon.model.errors import AssetError, AssetExists, AssetNotFound, CannotMove, NoSpace, StoreFailed
from was_daemon.model.interfaces import AssetStat, IAssetStore, ILocalFiles, IMoves, IStages
from was_daemon.model.keys import AssetKey
from was_daemon.model.lookup import find_stat
from was_daemon.stores.layers.layered.layer import Layer, nanoseconds
from was_daemon.stores.layers.layered.records import LayerRecords

_LEFT_FREE = 1 << 30
"""Bytes that promotions leave free on the disk of the first layer: uploads need them."""


@attrs.frozen
class Promotion:
    """Promotion of single originals into the store `first`.

    `find` fires with the layer that an original is read from when the first one does not have it, and its version.
    """

    first: IAssetStore
    find: Callable[[AssetKey], Awaitable[tuple[Layer, AssetStat]]]
    records: LayerRecords

    async def promote(self, key: AssetKey) -> bool:
        """Copy an original into the first layer, unless it has one; fire with whether that was done.

        Raises `AssetNotFound` when no layer has it, `CannotMove` when the first layer cannot move assets, `NoSpace`
        when it is nearly full, and what the stores raise. Nothing has changed then.
        """
        if await find_stat(self.first, key):
            return False
        found = await self.find(key)
        if not IMoves.providedBy(self.first):
            raise CannotMove("the first layer cannot move assets")
        try:
            await self._copy(key, *found)
            if await self.find(key) != found:
                return False
            await IMoves(self.first).move(self.records.copy_of(key), key)
        except (AssetExists, AssetNotFound):
            # Somebody has replaced or deleted it meanwhile, or another daemon has begun to promote it.
            return False
        finally:
            with suppress(AssetError):
                await self.records.stop_promotion(key)
        return True

    async def _copy(self, key: AssetKey, layer: Layer, version: AssetStat) -> None:
        """Copy a version under the key of a record, and read the copy."""
        copy = self.records.copy_of(key)
        reader = await layer.store.open(key)
        try:
            stream = HashedStream(reader)
            async with aclosing(stream.chunks()) as chunks:
                await self._write(copy, chunks, reader.stat.size)
        finally:
            await reader.close()
        if stream.digest.size != reader.stat.size:
            raise StoreFailed("a layer has sent fewer or more bytes than it said")
        await self._keep_time(copy, version)
        if (await digest_of(self.first, copy))[1] != stream.digest:
            raise StoreFailed("what was read back of a promoted asset is not what was written")

    async def _write(self, copy: AssetKey, chunks: AsyncIterator[bytes], size: int) -> None:
        if not IStages.providedBy(self.first):
            await self.first.write(copy, chunks, size)
            return
        staged = await IStages(self.first).stage(copy)
        try:
            if await staged.free() < size + _LEFT_FREE:
                raise NoSpace("the first layer is nearly full")
            async for chunk in chunks:
                await staged.write([chunk])
            await IStages(self.first).adopt(staged, copy)
        finally:
            staged.discard()

    async def _keep_time(self, copy: AssetKey, version: AssetStat) -> None:
        """Give the copy the time of the version: by size and time thumbnails are recognised that show it."""
        if version.modified and ILocalFiles.providedBy(self.first):
            files = ILocalFiles(self.first)
            await files.in_thread(copy, _set_time, files, copy, nanoseconds(version.modified))


def _set_time(files: ILocalFiles, key: AssetKey, time: int) -> None:
    with files.directory(key) as directory:
        os.utime(key.name, ns=(time, time), dir_fd=directory, follow_symlinks=False)
