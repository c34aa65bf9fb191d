"""Removal of useless pyramids."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs
from twisted.internet.defer import DeferredLock

from was_daemon.derivatives.marks import is_marked, shows
from was_daemon.derivatives.pyramids import beginnings
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import is_empty
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError, AssetNotFound, BadName
from was_daemon.model.keys import PYRAMID_NAME, AssetKey, Kind, Layout, is_shortened


@attrs.frozen
class PyramidPruner:
    """Removal of pyramids that have no original, or show another version of it. Only marked files are removed."""

    collections: Collections
    directories: Sequence[str]
    dry_run: bool
    report: JobReport
    _long_names: dict[str, dict[str, AssetKey]] = attrs.field(init=False, factory=dict)
    _lock: DeferredLock = attrs.field(init=False, factory=DeferredLock)

    async def pyramids(self) -> AsyncGenerator[AssetKey, None]:
        """Yield stored pyramids, except in collections without originals and in stores that make thumbnails."""
        for directory in self.directories:
            place = self.collections.place_in(directory)
            if place.makes_thumbnails or await is_empty(place.thumbnails, directory, Kind.PYRAMID):
                continue
            if await is_empty(place.store, directory, Kind.ORIGINAL):
                # A disk that is not mounted is more likely than a collection without originals.
                self.report.describe("failed", directory or "the store", "has no originals at all; pyramids are kept")
                continue
            async with aclosing(place.thumbnails.list(directory, Kind.PYRAMID)) as keys:
                async for key in keys:
                    yield key

    async def prune(self, pyramid: AssetKey) -> None:
        """Remove one pyramid if it is useless, and report its state."""
        try:
            state = await self._state_of(pyramid)
            if state in ("orphan", "outdated") and not self.dry_run:
                await self.collections.place(pyramid).thumbnails.delete(pyramid)
        except AssetNotFound:
            # The daemon has removed the pyramid meanwhile.
            return
        except AssetError as error:
            self.report.describe("failed", Layout.FLAT.path(pyramid), str(error))
            return
        if state in ("orphan", "outdated"):
            self.report.describe(state, Layout.FLAT.path(pyramid), "")
        else:
            self.report.count(state)

    async def _state_of(self, pyramid: AssetKey) -> str:
        reader = await self.collections.place(pyramid).thumbnails.open(pyramid)
        try:
            if not PYRAMID_NAME.fullmatch(pyramid.name) or not await is_marked(reader):
                return "unknown"
            original = await self._original_of(pyramid)
            if original is None:
                return "orphan"
            try:
                stat = await self.collections.place(original).store.stat(original)
            except AssetNotFound:
                return "orphan"
            return "kept" if await shows(reader, stat) else "outdated"
        finally:
            await reader.close()

    async def _original_of(self, pyramid: AssetKey) -> AssetKey | None:
        """Fire with the original that a pyramid is of, whether or not it exists; None when only that could tell."""
        beginning = pyramid.name.rpartition("_")[0]
        if is_shortened(beginning):
            return (await self._originals_of_long_names(pyramid.collection)).get(f"{beginning}_")
        try:
            return AssetKey(pyramid.collection, Kind.ORIGINAL, beginning)
        except BadName:
            return None

    async def _originals_of_long_names(self, collection: str) -> dict[str, AssetKey]:
        """Fire with the originals whose pyramids have shortened names, by the beginnings of these."""
        async with self._lock:
            if collection not in self._long_names:
                found = self._long_names[collection] = {}
                store = self.collections.place_in(collection).store
                async with aclosing(store.list(collection, Kind.ORIGINAL)) as keys:
                    async for key in keys:
                        found |= {each: key for each in beginnings(key) if is_shortened(each.removesuffix("_"))}
            return self._long_names[collection]
