"""Removing the thumbnails that are of no use."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import attrs

from was_daemon.derivatives.marks import is_marked
from was_daemon.derivatives.owners import Owners
from was_daemon.jobs.work import JobReport
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout, ThumbnailAddress


@attrs.frozen
class Pruner:
    """Removes thumbnails without an original, and of other scales than `kept`, if there are any; and reports.

    A file without an original that carries no mark is only removed with `unmarked`: it may be anything that is called
    like a thumbnail.
    """

    collections: Collections
    directories: Sequence[str]
    kept: frozenset[int]
    unmarked: bool
    dry_run: bool
    report: JobReport
    owners: Owners = attrs.field(init=False, default=attrs.Factory(lambda self: Owners(self.collections), True))

    async def thumbnails(self) -> AsyncGenerator[AssetKey, None]:
        """What there is in the stores of thumbnails."""
        for directory in self.directories:
            place = self.collections.place_in(directory)
            if place.makes_thumbnails:
                continue
            if await _is_empty(place.thumbnails, directory, Kind.THUMBNAIL):
                continue
            if await _is_empty(place.store, directory, Kind.ORIGINAL):
                # More likely than a collection without originals is a disk that is not mounted.
                self.report.tell("failed", directory or "the store", "has no originals at all; its thumbnails are kept")
                continue
            async with aclosing(place.thumbnails.list(directory, Kind.THUMBNAIL)) as keys:
                async for key in keys:
                    yield key

    async def prune(self, thumbnail: AssetKey) -> None:
        """Remove one thumbnail, if it is of no use."""
        try:
            word = await self._judge(thumbnail)
            if word in ("orphan", "scale") and not self.dry_run:
                await self.collections.place(thumbnail).thumbnails.delete(thumbnail)
        except AssetNotFound:
            # The daemon was faster.
            return
        except AssetError as error:
            self.report.tell("failed", Layout.FLAT.path(thumbnail), str(error))
            return
        if word in ("orphan", "scale", "unmarked"):
            self.report.tell(word, Layout.FLAT.path(thumbnail), "")
        else:
            self.report.count(word)

    async def _judge(self, thumbnail: AssetKey) -> str:
        try:
            address = ThumbnailAddress.parse(Layout.FLAT.path(thumbnail))
        except AssetNotFound:
            return "unknown"
        if not await self._exists(await self.owners.of(address)):
            return "orphan" if self.unmarked or await self._is_marked(thumbnail) else "unmarked"
        return "scale" if self.kept and address.scale not in self.kept else "kept"

    async def _is_marked(self, thumbnail: AssetKey) -> bool:
        reader = await self.collections.place(thumbnail).thumbnails.open(thumbnail)
        try:
            return await is_marked(reader)
        finally:
            await reader.close()

    async def _exists(self, keys: Iterable[AssetKey]) -> bool:
        """Whether one of these originals is stored."""
        for key in keys:
            try:
                await self.collections.place(key).store.stat(key)
            except AssetNotFound:
                continue
            return True
        return False


async def _is_empty(store: IAssetStore, directory: str, kind: Kind) -> bool:
    async with aclosing(store.list(directory, kind)) as keys:
        async for _ in keys:
            return False
    return True
