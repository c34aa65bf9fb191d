"""Removing the thumbnails that are of no use."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import attrs

from was_daemon.cli.places import path_of, place_of
from was_daemon.cli.work import Report
from was_daemon.errors import AssetError, AssetNotFound
from was_daemon.graph import Graph
from was_daemon.interfaces import IAssetStore
from was_daemon.keys import AssetKey, Kind, shortened_from
from was_daemon.thumbnails.stored import THUMBNAIL_NAME


@attrs.frozen
class Pruner:
    """Removes thumbnails without an original, and of other scales than `kept`, if there are any; and reports."""

    graph: Graph
    directories: Sequence[str]
    kept: frozenset[int]
    dry_run: bool
    report: Report

    async def thumbnails(self) -> AsyncGenerator[AssetKey, None]:
        """What there is in the stores of thumbnails."""
        for directory in self.directories:
            place = place_of(self.graph.collections, directory)
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
                await self.graph.collections.place(thumbnail).thumbnails.delete(thumbnail)
        except AssetNotFound:
            # The daemon was faster.
            return
        except AssetError as error:
            self.report.tell("failed", path_of(thumbnail), str(error))
            return
        if word in ("orphan", "scale"):
            self.report.tell(word, path_of(thumbnail), "")
        else:
            self.report.count(word)

    async def _judge(self, thumbnail: AssetKey) -> str:
        match = THUMBNAIL_NAME.fullmatch(thumbnail.name)
        if not match:
            return "unknown"
        owners = await self.graph.thumbnails.owners(thumbnail)
        # Of a shortened name nobody knows what it would have to be called.
        if not owners and shortened_from(match["root"]) is None:
            return "unknown"
        if not await self._exists(key for key, _ in owners):
            return "orphan"
        return "scale" if self.kept and int(match["scale"]) not in self.kept else "kept"

    async def _exists(self, keys: Iterable[AssetKey]) -> bool:
        """Whether one of these originals is stored."""
        for key in keys:
            try:
                await self.graph.collections.place(key).store.stat(key)
            except AssetNotFound:
                continue
            return True
        return False


async def _is_empty(store: IAssetStore, directory: str, kind: Kind) -> bool:
    async with aclosing(store.list(directory, kind)) as keys:
        async for _ in keys:
            return False
    return True
