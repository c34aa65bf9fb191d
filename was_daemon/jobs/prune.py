"""Removal of useless thumbnails."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import attrs

from was_daemon.derivatives.marks import is_marked
from was_daemon.derivatives.owners import Owners
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import is_empty
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.keys import AssetKey, Kind, Layout, ThumbnailAddress
from was_daemon.model.lookup import find_stat


@attrs.frozen
class Pruner:
    """Removal of thumbnails that have no original or, unless `kept` is empty, have another scale than those in `kept`.

    A file that has neither an original nor a mark is removed only when `unmarked` is True: it may be any file with a
    name like a thumbnail's.
    """

    collections: Collections
    directories: Sequence[str]
    kept: frozenset[int]
    unmarked: bool
    dry_run: bool
    report: JobReport
    owners: Owners = attrs.field(init=False, default=attrs.Factory(lambda self: Owners(self.collections), True))

    async def thumbnails(self) -> AsyncGenerator[AssetKey, None]:
        """Yield stored thumbnails, except in collections without originals and in stores that make thumbnails."""
        for directory in self.directories:
            place = self.collections.place_in(directory)
            if place.makes_thumbnails:
                continue
            if await is_empty(place.thumbnails, directory, Kind.THUMBNAIL):
                continue
            if await is_empty(place.store, directory, Kind.ORIGINAL):
                # A disk that is not mounted is more likely than a collection without originals.
                self.report.describe(
                    "failed", directory or "the store", "has no originals at all; its thumbnails are kept"
                )
                continue
            async with aclosing(place.thumbnails.list(directory, Kind.THUMBNAIL)) as keys:
                async for key in keys:
                    yield key

    async def prune(self, thumbnail: AssetKey) -> None:
        """Remove one thumbnail if it is useless, and report its state."""
        try:
            state = await self._state_of(thumbnail)
            if state in ("orphan", "scale") and not self.dry_run:
                await self.collections.place(thumbnail).thumbnails.delete(thumbnail)
        except AssetNotFound:
            # The daemon has removed the thumbnail meanwhile.
            return
        except AssetError as error:
            self.report.describe("failed", Layout.FLAT.path(thumbnail), str(error))
            return
        if state in ("orphan", "scale", "unmarked"):
            self.report.describe(state, Layout.FLAT.path(thumbnail), "")
        else:
            self.report.count(state)

    async def _state_of(self, thumbnail: AssetKey) -> str:
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
        """Return whether one of these originals is stored."""
        for key in keys:
            if await find_stat(self.collections.place(key).store, key):
                return True
        return False
