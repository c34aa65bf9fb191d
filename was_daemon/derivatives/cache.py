"""Thumbnails that exist: found, made once, published whole, forgotten with their originals."""

from collections.abc import Iterable
from contextlib import aclosing, suppress
from io import FileIO
from itertools import chain
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from was_daemon.concurrency.exclusion import Exclusion
from was_daemon.concurrency.locks import KeyLocks
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.making import Made, Making
from was_daemon.derivatives.marks import mark_of, shows
from was_daemon.derivatives.refusals import Refusals
from was_daemon.derivatives.stored import (
    beginning,
    belongs_to,
    content_of,
    in_memory,
    is_thumbnail_of,
    open_thumbnail,
    read_all,
    remove,
    remove_files,
    remove_remains,
    scales_in,
)
from was_daemon.derivatives.versions import Versions
from was_daemon.imaging.formats import output_format
from was_daemon.library.collections import Collections
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetError, AssetNotFound, BrokenImage, NoThumbnail
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, ILocalFiles, IStagingFile
from was_daemon.model.keys import MAX_DIGITS, AssetKey, Kind
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.workers.commands import Render
from was_daemon.workers.pool import WorkerPool

_LARGEST_OFFICIAL = 4096
"""Up to this scale thumbnails of the official server are looked for when their original goes."""


class Thumbnails:
    """The thumbnails of all collections."""

    _log = Logger()

    def __init__(
        self,
        collections: Collections,
        locks: KeyLocks[AssetKey],
        spool: Spool,
        pool: WorkerPool,
        max_pixels: int,
        max_scale: int = _LARGEST_OFFICIAL,
        evictor: Evictor | None = None,
        exclusion: Exclusion | None = None,
    ) -> None:
        self._collections = collections
        self._locks = locks
        self._spool = spool
        self._pool = pool
        self._max_pixels = max_pixels
        self._max_scale = max(max_scale, _LARGEST_OFFICIAL)
        self._evictor = evictor
        self._exclusion = exclusion
        self._making: dict[tuple[AssetKey, int, str], Making] = {}
        self._versions = Versions()
        # Of which scales there are thumbnails, by the stores and the collections' directories in them.
        self._scales: dict[ILocalFiles, dict[str, set[int]]] = {}
        self._made_scales: set[int] = set()
        self._refusals = Refusals()

    async def start(self, before: "Thumbnails | None" = None) -> None:
        """Look through what there is: for the scales of thumbnails, also of such as are not made here, so that they are
        found when their original goes, and for more than may be kept. What `before` knows already is taken from it."""
        if before:
            self._scales.update(before._scales)
            self._made_scales |= before._made_scales
        for files in self._collections.local_thumbnails():
            try:
                await files.in_thread(None, self._look_for_scales, files, self._scales.get(files, {}))
            except AssetError as error:
                self._log.error("Could not look through the thumbnails: {error}", error=error)
        if self._evictor and not (before and before._evictor is self._evictor):
            await self._evictor.start()

    def _look_for_scales(self, files: ILocalFiles, known: dict[str, set[int]]) -> None:
        directories = list(self._collections.directories(files))
        new = {directory: scales_in(files, directory) for directory in directories if directory not in known}
        self._scales[files] = known | new
        large = sorted({scale for scales in new.values() for scale in scales if scale > self._max_scale})
        if large:
            self._log.info("{files} have thumbnails of the scales {large}", files=files, large=large)

    async def settled(self) -> None:
        """Wait until all thumbnails that are being made are made."""
        for making in set(self._making.values()):
            with suppress(AssetError, CancelledError):
                await making.join()

    async def find(self, key: AssetKey, original: AssetStat, scale: int, fetch: bool = True) -> IAssetReader | None:
        """Open the thumbnail of this version of `key` if there is one; the caller closes it.

        Without `fetch`, for who does not want its bytes, only the mark is read.
        """
        thumbnail, store = key.thumbnail(scale), self._collections.place(key).thumbnails
        try:
            reader = await (open_thumbnail(store, thumbnail) if fetch else store.open(thumbnail))
        except AssetNotFound:
            return None
        if await shows(reader, original) and await belongs_to(reader, thumbnail, key):
            if self._evictor:
                self._evictor.used(thumbnail)
            return reader
        await reader.close()
        return None

    async def make(self, key: AssetKey, original: AssetStat, scale: int, client: str) -> IAssetReader | None:
        """Make the thumbnail of this version of `key`; whoever asks for it meanwhile shares the work.

        None when it was published but has to be looked up, and when the original has changed meanwhile. Raises
        `NoThumbnail`, `BrokenImage`, `Overloaded`, and what the stores raise.
        """
        self._refusals.check(key, original)
        making = self._making.get((key, scale, original.etag))
        if making is None:
            making = self._start(Making(client, background=False), key, original, [scale])
        elif making.background:
            making.client, making.background = client, False
            if making.job:
                self._pool.promote(making.job, client)
        return (await making.join()).get(scale)

    async def warm(self, key: AssetKey, scales: Iterable[int]) -> None:
        """`make_missing`, for which nobody waits."""
        try:
            await self.make_missing(key, scales)
        except AssetError as error:
            self._log.info("Could not warm {key}: {error}", key=key, error=error)

    async def make_missing(self, key: AssetKey, scales: Iterable[int]) -> int:
        """Make those thumbnails of `key` that are missing, from one decoding, when nobody waits for anything else.

        Fires with their number. Raises `AssetNotFound`, and what `make` raises.
        """
        original = await self._collections.place(key).store.stat(key)
        missing = []
        for scale in scales:
            reader = await self.find(key, original, scale)
            if reader:
                await reader.close()
            else:
                missing.append(scale)
        # Somebody may have asked for one meanwhile.
        missing = [scale for scale in missing if (key, scale, original.etag) not in self._making]
        if missing:
            await self._start(Making("", background=True), key, original, missing).join()
        return len(missing)

    def _start(self, making: Making, key: AssetKey, original: AssetStat, scales: list[int]) -> Making:
        shared = [(key, scale, original.etag) for scale in scales]
        self._making.update(dict.fromkeys(shared, making))

        def forget() -> None:
            for each in shared:
                del self._making[each]

        making.start(self._make_once(making, key, original, scales), forget)
        return making

    async def _make_once(self, making: Making, key: AssetKey, original: AssetStat, scales: list[int]) -> Made:
        """Make them, unless another process of the daemon is at it, and not in the background: then wait for that."""
        if not self._exclusion or making.background:
            return await self._make(making, key, original, scales)
        name = "\0".join([key.collection, key.name, str(scales[0]), original.etag])
        async with self._exclusion.holding(name) as has_waited:
            reader = await self.find(key, original, scales[0]) if has_waited else None
            if reader is None:
                return await self._make(making, key, original, scales)
        await reader.close()
        return {}

    async def _make(self, making: Making, key: AssetKey, original: AssetStat, scales: list[int]) -> Made:
        place = self._collections.place(key)
        staged: dict[int, IStagingFile] = {}
        try:
            source, name, size = await self._source(key, original, max(scales))
            with source:
                for scale in scales:
                    staged[scale] = await self._stage(place.thumbnails, key.thumbnail(scale))
                making.job = self._pool.submit(
                    Render,
                    making.client,
                    [source, *staged.values()],
                    making.background,
                    name=name,
                    outputs=[_output(key, scale) for scale in staged],
                    max_pixels=self._max_pixels,
                    **size,
                )
                made_of = await making.job.done
            if not size and made_of["width"] and made_of["height"]:
                self._versions.add(key, original.etag, made_of, scales)
            return await self._locks.run(key, lambda: self._publish(key, original, staged))
        except (NoThumbnail, BrokenImage) as refusal:
            # Of an original that was replaced or deleted meanwhile this says nothing.
            if (await place.store.stat(key)).etag == original.etag:
                self._refusals.add(key, original, refusal)
                raise
            return {}
        finally:
            for file in staged.values():
                file.discard()

    async def _source(self, key: AssetKey, original: AssetStat, scale: int) -> tuple[FileIO, str, dict[str, int]]:
        """What thumbnails up to `scale` are made of, and its name: the original, or a larger one of that version, for
        which a worker has to know the size of the original, too."""
        larger = self._versions.larger(key, scale, original.etag)
        reader = await self.find(key, original, larger[0]) if larger else None
        if not larger or not reader:
            return await self._spool.open(self._collections.place(key).store, key, original.etag), key.name, {}
        try:
            return in_memory(await read_all(reader)), key.thumbnail(larger[0]).name, larger[1]
        finally:
            await reader.close()

    async def _stage(self, store: IAssetStore, thumbnail: AssetKey) -> IStagingFile:
        return await (ILocalFiles(store).stage(thumbnail) if ILocalFiles.providedBy(store) else self._spool.stage())

    async def _publish(self, key: AssetKey, original: AssetStat, staged: dict[int, IStagingFile]) -> Made:
        """Store thumbnails, by scale, if their original is still the one they were made from."""
        place = self._collections.place(key)
        made: Made = {}
        if not await self._is_current(key, original):
            return made
        self._made_scales.update(staged)
        for scale, file in staged.items():
            await file.write([mark_of(original)])
            content = await content_of(file)
            stored = await self._store(place.thumbnails, file, key.thumbnail(scale))
            if content is not None:
                made[scale] = MemoryReader(content, stored)
        if await self._is_current(key, original):
            return made
        # Another daemon has replaced or deleted it meanwhile. Nobody would serve these, but they would stay.
        await self._remove(key, staged)
        return {}

    async def _is_current(self, key: AssetKey, original: AssetStat) -> bool:
        try:
            return (await self._collections.place(key).store.stat(key)).etag == original.etag
        except AssetNotFound:
            return False

    async def _store(self, store: IAssetStore, staged: IStagingFile, thumbnail: AssetKey) -> AssetStat:
        if not ILocalFiles.providedBy(store):
            async with aclosing(staged.read()) as chunks:
                return await store.write(thumbnail, chunks, await staged.size())
        stored = await ILocalFiles(store).adopt(staged, thumbnail)
        if self._evictor:
            self._evictor.added(ILocalFiles(store), stored.size)
        return stored

    async def forget(self, key: AssetKey) -> None:
        """Remove the thumbnails of `key`, of every version and scale, and no others."""
        store = self._collections.place(key).thumbnails
        if ILocalFiles.providedBy(store):
            await self._remove(key, self._all_scales(ILocalFiles(store)))
            return
        for prefix in {beginning(key, digits) for digits in range(1, MAX_DIGITS + 1)}:
            async with aclosing(store.list(key.collection, Kind.THUMBNAIL, prefix)) as found:
                thumbnails = [thumbnail async for thumbnail in found if is_thumbnail_of(thumbnail, prefix, key)]
            for thumbnail in thumbnails:
                await remove(store, thumbnail, key)

    def _all_scales(self, files: ILocalFiles) -> Iterable[int]:
        # Trying every scale costs the same however many thumbnails there are; listing them would not.
        larger = [scale for scale in self._scales_found_in(files) if scale > self._max_scale]
        return chain(range(1, self._max_scale + 1), larger)

    def _scales_found_in(self, files: ILocalFiles) -> set[int]:
        return set().union(*self._scales.get(files, {}).values())

    async def forget_remains(self, key: AssetKey) -> None:
        """Remove thumbnails that a server has left of a `key` that is about to be new, of the scales that are in use.

        None would be served, as they are older than the new original; but nginx, which asks nobody, must not find any.
        """
        store = self._collections.place(key).thumbnails
        if not ILocalFiles.providedBy(store):
            return
        files = ILocalFiles(store)
        scales = self._all_scales(files)
        in_use = self._scales_found_in(files) | self._made_scales if files in self._scales else scales
        if in_use:
            await files.in_thread(key, remove_remains, files, key, in_use, scales)

    async def _remove(self, key: AssetKey, scales: Iterable[int]) -> None:
        """Remove the thumbnails of `key` of these scales."""
        store = self._collections.place(key).thumbnails
        if ILocalFiles.providedBy(store):
            await ILocalFiles(store).in_thread(key, remove_files, ILocalFiles(store), key, scales)
            return
        for scale in scales:
            await remove(store, key.thumbnail(scale), key)


def _output(key: AssetKey, scale: int) -> dict[str, Any]:
    """A worker's order for one thumbnail."""
    return {"scale": scale, "format": output_format(key.thumbnail(scale).name), "owner": key.name}
