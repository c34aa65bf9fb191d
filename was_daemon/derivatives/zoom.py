"""Looking closely at originals: pyramids that are made when they are asked for, tiles, and other parts of a picture."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any
from zlib import crc32

import attrs

from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.making import Making
from was_daemon.derivatives.pyramids import OpenPyramid, Pyramid, PyramidKind, Span
from was_daemon.derivatives.views import LargeView, ViewName, Views
from was_daemon.library.collections import Collections, Original
from was_daemon.library.spool import Spool
from was_daemon.model.errors import DamagedDerivative, NoSpace, NoThumbnail, Overloaded, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetReader, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.model.pyramids import TILE_SIZE, Box, Geometry, PyramidIndex, Tile
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.workers.commands import RenderRegion
from was_daemon.workers.fair_queue import OpenFile
from was_daemon.workers.memory_files import AnswerFile
from was_daemon.workers.pool import WorkerPool

_ATTEMPTS = 5
"""Attempts at one pyramid for one request, each after a change of the original."""

_MOST_PIXELS = 80_000_000
"""Pixels of a level that one rendering may decode: what a region in distorted proportions needs is not bounded else."""

_MOST_TILES = 700
"""Tiles that one rendering may be made of: a value of AMP has 64 KiB at most, and each takes up to 80 bytes of it."""

_MOST_IN_MEMORY = 8 << 20
"""Bytes of a view that a worker hands over in memory."""

_PIXELS_IN_MEMORY = 1 << 20
"""Pixels of a view that is no longer, in any format."""


@attrs.frozen
class View:
    """A view of a picture that a client asks for: `region` of level 0 in `size` pixels, mirrored, turned, and written.

    `rotation` is in degrees clockwise; `name` is the same for the same view.
    """

    region: Box
    size: tuple[int, int]
    mirrored: bool
    rotation: float
    quality: str
    format: str
    name: str


class Zoom:
    """Pyramids of the originals of all collections, and what is shown of them."""

    def __init__(
        self,
        collections: Collections,
        derivatives: Derivatives,
        pyramids: PyramidKind,
        spool: Spool,
        views: Views,
        pool: WorkerPool,
    ) -> None:
        self._collections = collections
        self._derivatives = derivatives
        self._pyramids = pyramids
        self._spool = spool
        self._pool = pool
        self._rendering: dict[ViewName, Making[MemoryReader | LargeView]] = {}
        self._views = views

    async def open(self, key: AssetKey, page: int, client: str) -> OpenPyramid:
        """Open the pyramid of a page of an original, made first if there is none; the caller closes its reader.

        `client` takes turns with other clients when many are to be made. Raises `AssetNotFound` (no such original or
        page), `NoThumbnail`, `BrokenImage`, `Overloaded`, and what the stores raise.
        """
        place, recipe = self._collections.place(key), Pyramid(page)
        if place.makes_thumbnails:
            raise NoThumbnail("the store of this collection makes its pictures itself")
        for _ in range(_ATTEMPTS):
            original = Original(place, key, await place.store.stat(key))
            pyramid = await self._pyramids.open(original, recipe)
            if pyramid:
                return pyramid
            await self._derivatives.make(original, recipe, client)
        raise Overloaded("the original keeps changing")

    async def tile(self, pyramid: OpenPyramid, tile: Tile) -> IAssetReader:
        """Open a tile of an open pyramid; raises what `view` raises of a damaged one."""
        content = await pyramid.read(pyramid.index.span(tile))
        if crc32(content) != pyramid.index.checksum(tile):
            raise await self._damaged(pyramid)
        return MemoryReader(content, pyramid.stat(tile))

    def stat(self, pyramid: OpenPyramid, view: View) -> AssetStat:
        """Return the version of a view, of size 0 as it is not rendered yet."""
        version = pyramid.reader.stat
        return AssetStat(0, version.modified, f"{version.etag}-{sha256(view.name.encode()).hexdigest()[:16]}")

    async def view(self, pyramid: OpenPyramid, view: View, client: str) -> IAssetReader:
        """Render a view of an open pyramid, unless it is kept; requests for the same one share the work.

        The caller closes it. Raises `BrokenImage`, `Interrupted`, `Overloaded`, `NoSpace`, and `VersionGone` when the
        pyramid was replaced or removed meanwhile, or is damaged: the next that is opened is another one.
        """
        name = (pyramid.key, pyramid.reader.stat.etag, view.name)
        kept = self._views.get(name)
        if kept is None:
            making = self._rendering.get(name)
            if making is None:
                making = self._rendering[name] = Making(client, background=False)
                making.start(self._render(making, pyramid, view, name), partial(self._forget, name))
            kept = await making.join()
        return self._views.open(kept)

    def _forget(self, name: ViewName) -> None:
        del self._rendering[name]

    async def _render(
        self, making: Making[MemoryReader | LargeView], pyramid: OpenPyramid, view: View, name: ViewName
    ) -> MemoryReader | LargeView:
        level = choose_level(pyramid.index.geometry, view)
        tiles = list(pyramid.index.geometry.tiles_in(level, _on_level(view.region, 1 << level)))
        version = self.stat(pyramid, view)
        disk: IStagingFile | None = None
        try:
            # At once: the request that came first may leave before the others, and closes the reader.
            source, spans = await pyramid.source(_spans(pyramid.index, tiles, view), self._spool)
            with source, AnswerFile(_MOST_IN_MEMORY) as memory:
                disk = await self._file_for_large(view)
                files: list[OpenFile] = [source, memory, *([disk] if disk else [])]
                making.job = self._pool.submit(
                    RenderRegion, making.client, files, **_arguments(pyramid.index, view, level, tiles, spans)
                )
                length = (await making.job.done)["length"]
                content = memory.content(length) if length <= memory.size else b""
            if self._views.fit_into_memory(length):
                kept = MemoryReader(content, attrs.evolve(version, size=len(content)))
                self._views.add(name, kept)
                return kept
            disk = disk or await self._spool.stage()
            if content:
                await disk.write([content])
            large = self._views.add_large(name, disk, attrs.evolve(version, size=await disk.size()))
            disk = None
            return large
        except DamagedDerivative:
            raise await self._damaged(pyramid) from None
        finally:
            if disk:
                disk.discard()

    async def _damaged(self, pyramid: OpenPyramid) -> VersionGone:
        """Remove a damaged pyramid, and fire with the error for those who have it open."""
        await self._derivatives.remove_damaged(pyramid.original, pyramid.recipe, pyramid.reader.stat)
        return VersionGone("the picture's tiles are damaged")

    async def _file_for_large(self, view: View) -> IStagingFile | None:
        """Open a file for a view that may be too long to be handed over in memory, unless the disk is full."""
        if view.size[0] * view.size[1] > _PIXELS_IN_MEMORY or view.rotation % 90:
            with suppress(NoSpace):
                return await self._spool.stage()
        return None


def choose_level(geometry: Geometry, view: View) -> int:
    """Return the smallest level that shows a region in as many pixels as the view has, or what may be decoded of it."""
    region, (width, height) = view.region, view.size
    reduction = min(region.width / width, region.height / height)
    level = min(int(math.log2(reduction)) if reduction >= 1 else 0, len(geometry.levels) - 1)
    while not _may_be_decoded(region, level) and level < len(geometry.levels) - 1:
        level += 1
    return level


def _may_be_decoded(region: Box, level: int) -> bool:
    """Return whether a level has few enough pixels and tiles that show a part of `region`."""
    columns, rows = ((side >> level) // TILE_SIZE + 2 for side in region.size)
    return region.width * region.height >> 2 * level <= _MOST_PIXELS and columns * rows <= _MOST_TILES


def _on_level(region: Box, factor: int) -> Box:
    """Return the pixels of a level that show a part of `region`."""
    x, y = region.x // factor, region.y // factor
    right, lower = -(-(region.x + region.width) // factor), -(-(region.y + region.height) // factor)
    return Box(x, y, right - x, lower - y)


def _spans(index: PyramidIndex, tiles: Sequence[Tile], view: View) -> list[Span]:
    """Return where tiles are in a pyramid, and then their alpha channels, if there are any and the view shows them."""
    spans = [index.span(tile) for tile in tiles]
    if index.has_alpha and view.format != "jpg":
        spans += [index.alpha_span(tile) for tile in tiles]
    return spans


def _arguments(
    index: PyramidIndex, view: View, level: int, tiles: Sequence[Tile], spans: Sequence[Span]
) -> dict[str, Any]:
    """Return the arguments of `RenderRegion`."""
    alpha_spans = spans[len(tiles) :]
    region, factor = view.region, 1 << level
    return {
        "tiles": _places(tiles, spans[: len(tiles)], index.checksum),
        "alpha": _places(tiles, alpha_spans, index.alpha_checksum) if alpha_spans else [],
        "region": [side / factor for side in (region.x, region.y, region.width, region.height)],
        "width": view.size[0],
        "height": view.size[1],
        "mirrored": view.mirrored,
        "rotation": view.rotation,
        "quality": view.quality,
        "format": view.format,
    }


def _places(tiles: Sequence[Tile], spans: Sequence[Span], checksum: Callable[[Tile], int]) -> list[dict[str, int]]:
    return [
        {"offset": start, "length": stop - start, "checksum": checksum(tile), "x": tile.left, "y": tile.top}
        for tile, (start, stop) in zip(tiles, spans, strict=True)
    ]
