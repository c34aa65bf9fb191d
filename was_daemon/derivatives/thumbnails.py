"""Thumbnails as a kind of derivative."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain
from typing import Any, ClassVar

import attrs
from twisted.logger import Logger
from twisted.protocols import amp

from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.kinds import CommandInput, DerivativeKind
from was_daemon.derivatives.larger_thumbnails import LargerThumbnails
from was_daemon.derivatives.owners import has_owner
from was_daemon.derivatives.thumbnail_files import (
    beginning,
    belongs_to,
    is_thumbnail_of,
    remove_files,
    remove_remains,
    scales_in,
)
from was_daemon.imaging.formats import output_format
from was_daemon.library.collections import Collections, Original
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetReader, IAssetStore, ILocalFiles
from was_daemon.model.keys import MAX_DIGITS, THUMBNAIL_NAME, AssetKey, Kind
from was_daemon.workers.commands import Render

_LARGEST_OFFICIAL = 4096
"""Up to this scale thumbnails of the official server are looked for when their original goes."""


@attrs.frozen
class Thumbnail:
    """The recipe of a picture that fits a box of `scale` x `scale` pixels."""

    scale: int

    def key(self, original: AssetKey) -> AssetKey:
        """See `Recipe`."""
        return original.thumbnail(self.scale)


class ThumbnailKind(DerivativeKind[Thumbnail]):
    """Thumbnails, stored under the names of the official server.

    Originals of more than `max_pixels` are refused. `max_scale` is the largest scale that clients may ask for.
    """

    recipe = Thumbnail
    command: ClassVar[type[amp.Command]] = Render
    _log = Logger()

    def __init__(self, max_pixels: int, max_scale: int = _LARGEST_OFFICIAL, evictor: Evictor | None = None) -> None:
        self.evictor = evictor
        self._max_pixels = max_pixels
        self._max_scale = max(max_scale, _LARGEST_OFFICIAL)
        self._larger = LargerThumbnails()
        # The scales of stored thumbnails, by the stores and the collections' directories in them.
        self._scales: dict[ILocalFiles, dict[str, set[int]]] = {}
        self._made_scales: set[int] = set()

    # -- making --------------------------------------------------------------------------------------------------------

    def inputs(self, original: Original, recipes: Sequence[Thumbnail]) -> Iterator[CommandInput[Thumbnail]]:
        """See `DerivativeKind`. A small thumbnail is made of a much larger one of the same version, if one was made."""
        key = original.key
        larger = self._larger.larger(key, max(recipe.scale for recipe in recipes), original.stat.etag)
        if larger:
            source = Thumbnail(larger[0])
            # The worker has to know the size of the original, too.
            yield CommandInput(self._arguments(key, recipes, source.key(key)) | larger[1], source)
        yield CommandInput(self._arguments(key, recipes, key))

    def _arguments(self, key: AssetKey, recipes: Sequence[Thumbnail], source: AssetKey) -> dict[str, Any]:
        outputs = [
            {"scale": recipe.scale, "format": output_format(recipe.key(key).name), "owner": key.name}
            for recipe in recipes
        ]
        return {"name": source.name, "outputs": outputs, "max_pixels": self._max_pixels}

    def made(
        self, original: Original, recipes: Sequence[Thumbnail], chosen: CommandInput[Thumbnail], answer: dict[str, Any]
    ) -> None:
        """See `DerivativeKind`."""
        scales = [recipe.scale for recipe in recipes]
        self._made_scales.update(scales)
        if not chosen.source and answer["width"] and answer["height"]:
            self._larger.add(original.key, original.stat.etag, answer, scales)

    async def belongs_to(self, reader: IAssetReader, derivative: AssetKey, original: AssetKey) -> bool:
        """See `DerivativeKind`."""
        return await belongs_to(reader, derivative, original)

    # -- forgetting ----------------------------------------------------------------------------------------------------

    async def start(self, collections: Collections, before: DerivativeKind[Thumbnail] | None) -> None:
        """Look for the scales of stored thumbnails, so that `forget` finds also those that clients cannot ask for."""
        if isinstance(before, ThumbnailKind):
            self._scales.update(before._scales)
            self._made_scales |= before._made_scales
        for files in collections.local_derivative_stores():
            try:
                await files.in_thread(None, self._look_for_scales, collections, files, self._scales.get(files, {}))
            except AssetError as error:
                self._log.error("Could not look through the thumbnails: {error}", error=error)

    def _look_for_scales(self, collections: Collections, files: ILocalFiles, known: dict[str, set[int]]) -> None:
        directories = list(collections.directories(files))
        new = {directory: scales_in(files, directory) for directory in directories if directory not in known}
        self._scales[files] = known | new
        large = sorted({scale for scales in new.values() for scale in scales if scale > self._max_scale})
        if large:
            self._log.info("{files} have thumbnails of the scales {large}", files=files, large=large)

    async def forget(self, store: IAssetStore, original: AssetKey, exists: bool) -> None:
        """See `DerivativeKind`.

        Left-over thumbnails of the official server carry no mark. Up to the largest scale that clients ask for they go
        without an original, too, as whoever holds a token for that name wants (contract, section 3).
        """
        if ILocalFiles.providedBy(store):
            files = ILocalFiles(store)
            await files.in_thread(original, remove_files, files, original, range(1, self._max_scale + 1))
            await files.in_thread(original, remove_files, files, original, self._larger_scales(files), not exists)
            return
        for prefix in {beginning(original, digits) for digits in range(1, MAX_DIGITS + 1)}:
            async with aclosing(store.list(original.collection, Kind.THUMBNAIL, prefix)) as found:
                max_scale = None if exists else self._max_scale
                thumbnails = [key async for key in found if is_thumbnail_of(key, prefix, original, max_scale)]
            for thumbnail in thumbnails:
                await self.remove(store, thumbnail, original)

    async def forget_remains(self, store: IAssetStore, original: AssetKey) -> None:
        """See `DerivativeKind`. Of local files only the scales that are in use are looked for; of others, none.

        The daemon would serve none of them, as they are older than the new original; but nginx, which asks nobody, must
        not find any. A file without a mark may be somebody else's and stays.
        """
        if not ILocalFiles.providedBy(store):
            return
        files = ILocalFiles(store)
        scales = self._all_scales(files)
        in_use = self._stored_scales(files) | self._made_scales if files in self._scales else scales
        if in_use:
            await files.in_thread(original, remove_remains, files, original, in_use, scales)

    def _all_scales(self, files: ILocalFiles) -> Iterable[int]:
        # Trying every scale costs the same however many thumbnails there are; listing them would not.
        return chain(range(1, self._max_scale + 1), self._larger_scales(files))

    def _larger_scales(self, files: ILocalFiles) -> list[int]:
        return [scale for scale in self._stored_scales(files) if scale > self._max_scale]

    def _stored_scales(self, files: ILocalFiles) -> set[int]:
        return set().union(*self._scales.get(files, {}).values())


class EvictableThumbnails:
    """The thumbnails of a store, as an `Evictor` finds them."""

    kind = Kind.THUMBNAIL

    def entries(self, files: ILocalFiles, directory: str) -> "Iterator[os.DirEntry[str]]":
        """See `Evictable`."""
        return (entry for entry in files.files(directory, Kind.THUMBNAIL) if THUMBNAIL_NAME.fullmatch(entry.name))

    async def has_original(self, collections: Collections, derivative: AssetKey) -> bool:
        """See `Evictable`."""
        return await has_owner(collections, derivative)
