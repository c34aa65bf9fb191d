"""Zoom pyramids as a kind of derivative: one file per page of an original that holds all tiles."""

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from io import FileIO
from itertools import accumulate
from typing import Any, ClassVar, TypeAlias

import attrs
from twisted.protocols import amp

from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.held_readers import HeldReaders
from was_daemon.derivatives.kinds import CommandInput, DerivativeKind
from was_daemon.derivatives.marks import has_mark, is_marked
from was_daemon.library.collections import Collections, Original
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IFileReader, ILocalFiles
from was_daemon.model.keys import MAX_PAGE, PYRAMID_NAME, AssetKey, Kind
from was_daemon.model.marks import MARK_SIZE, is_mark_of
from was_daemon.model.pyramids import TRAILER_SIZE, BadIndex, PyramidIndex, Tile, index_size, parse_index
from was_daemon.stores.local.directories import Entry
from was_daemon.workers.commands import MakePyramid
from was_daemon.workers.memory_files import in_memory

_FIRST_READ = 1 << 15
"""Bytes read from the end of a pyramid: the mark, and the index of up to 2,700 tiles, which is nearly always all."""

_MOST_IN_MEMORY = 4 << 20
"""Bytes of remote tiles for one view that are handed to a worker in memory: of more than most views are made of."""

_REMEMBERED_BYTES = 32 << 20
"""The size of the indexes in memory. That of a picture of 24 megapixels has 1.6 KB, of 400 megapixels 25 KB."""


@attrs.frozen
class Pyramid:
    """The recipe of the pyramid of a page; the first page is 1."""

    page: int = 1

    def key(self, original: AssetKey) -> AssetKey:
        """See `Recipe`."""
        return original.pyramid(self.page)


Span: TypeAlias = tuple[int, int]
"""Bytes [start, stop) of a file."""


@attrs.frozen
class OpenPyramid:
    """A stored pyramid, held open, and its index; the caller closes `reader`."""

    original: Original
    recipe: Pyramid
    key: AssetKey
    store: IAssetStore
    reader: IAssetReader
    index: PyramidIndex

    async def read(self, span: Span) -> bytes:
        """Fire with the bytes of a tile."""
        async with aclosing(self.reader.read(*span)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def source(self, spans: Sequence[Span], spool: Spool) -> tuple[FileIO, list[Span]]:
        """Open a local file that has some parts of the pyramid; fire with it and the place of each part in it.

        The caller closes the file. Raises `VersionGone` when a remote pyramid was replaced or removed meanwhile.
        """
        if IFileReader.providedBy(self.reader):
            return IFileReader(self.reader).file(), list(spans)
        ends = list(accumulate(stop - start for start, stop in spans))
        places = list(zip([0, *ends], ends, strict=False))
        if ends[-1] <= _MOST_IN_MEMORY:
            return in_memory(b"".join([await self.read(span) for span in spans])), places
        staged = await spool.stage()
        try:
            for span in spans:
                await staged.write([await self.read(span)])
            return FileIO(os.dup(staged.fileno()), "r"), places
        finally:
            staged.discard()

    def stat(self, tile: Tile) -> AssetStat:
        """Return the version of a tile."""
        start, stop = self.index.span(tile)
        whole = self.reader.stat
        return AssetStat(stop - start, whole.modified, f"{whole.etag}-{tile.number:x}")


class PyramidKind(DerivativeKind[Pyramid]):
    """Pyramids, in a directory of their own beside that of the thumbnails.

    Originals of more than `max_pixels` are refused.
    """

    recipe = Pyramid
    command: ClassVar[type[amp.Command]] = MakePyramid
    is_kept_in_memory = False

    def __init__(self, max_pixels: int, evictor: Evictor | None = None) -> None:
        self.evictor = evictor
        self._max_pixels = max_pixels
        self._indexes = _Indexes()
        self._held = HeldReaders()

    async def start(self, collections: Collections, before: "DerivativeKind[Pyramid] | None") -> None:
        """Take over what the kind of the last configuration holds."""
        if isinstance(before, PyramidKind):
            self._held = before._held

    def inputs(self, original: Original, recipes: Sequence[Pyramid]) -> Iterator[CommandInput[Pyramid]]:
        """See `DerivativeKind`; a job makes one pyramid."""
        (recipe,) = recipes
        yield CommandInput({"name": original.key.name, "page": recipe.page, "max_pixels": self._max_pixels})

    def refusal_scope(self, recipe: Pyramid) -> Any:
        """See `DerivativeKind`: a page that cannot be shown, or not in full size, says nothing about the others."""
        return recipe

    async def find(self, original: Original, recipe: Pyramid, fetch: bool = True) -> IAssetReader | None:
        """See `DerivativeKind`; no pyramid is fetched whole."""
        pyramid = await self.open(original, recipe)
        return pyramid.reader if pyramid else None

    async def open(self, original: Original, recipe: Pyramid) -> OpenPyramid | None:
        """Open the stored pyramid of this version, if there is one; the caller closes its reader."""
        store, key = original.place.thumbnails, recipe.key(original.key)
        held = self._held.get((store, key))
        if held:
            end = await self._indexes.of(key, held)
            if end and is_mark_of(end.mark, original.stat):
                return OpenPyramid(original, recipe, key, store, held, end.index)
            self._held.drop((store, key))
        try:
            reader = await store.open(key)
        except AssetNotFound:
            return None
        try:
            end = await self._indexes.of(key, reader)
        except BaseException:
            await reader.close()
            raise
        if not end or not is_mark_of(end.mark, original.stat):
            await reader.close()
            return None
        if ILocalFiles.providedBy(store):
            if self.evictor:
                self.evictor.used(key)
            return OpenPyramid(original, recipe, key, store, reader, end.index)
        held = self._held.hold((store, key), reader)
        return OpenPyramid(original, recipe, key, store, held, end.index)

    async def forget(self, store: IAssetStore, original: AssetKey, exists: bool) -> None:
        """See `DerivativeKind`. Only files that carry a mark are removed, with an original as without."""
        if ILocalFiles.providedBy(store):
            await ILocalFiles(store).in_thread(original, _remove_files, ILocalFiles(store), original)
            return
        for prefix in dict.fromkeys(beginnings(original)):
            async with aclosing(store.list(original.collection, Kind.PYRAMID, prefix)) as found:
                pyramids = [key async for key in found if _is_pyramid(key.name, prefix)]
            for key in pyramids:
                with suppress(AssetNotFound):
                    await _delete_marked(store, key)

    async def remove(self, store: IAssetStore, derivative: AssetKey, original: AssetKey) -> None:
        """See `DerivativeKind`; the next pyramid of the same version is opened anew."""
        self._held.drop((store, derivative))
        with suppress(AssetNotFound):
            await _delete_marked(store, derivative)

    async def forget_remains(self, store: IAssetStore, original: AssetKey) -> None:
        """Do nothing: by its mark, a pyramid that is left over is never served, and eviction or `prune` removes it."""


async def _delete_marked(store: IAssetStore, pyramid: AssetKey) -> None:
    reader = await store.open(pyramid)
    try:
        is_own = await is_marked(reader)
    finally:
        await reader.close()
    if is_own:
        await store.delete(pyramid)


def beginnings(original: AssetKey) -> list[str]:
    """Return what the names of an original's pyramids begin with, by the number of digits of the page.

    These differ when the name of the original is long.
    """
    firsts = (10**digits for digits in range(len(str(MAX_PAGE))))
    return [original.pyramid(page).name.removesuffix(f"{page}.zip") for page in firsts]


def _is_pyramid(name: str, beginning: str) -> bool:
    return bool(PYRAMID_NAME.fullmatch(name)) and name.rpartition("_")[0] + "_" == beginning


def _remove_files(files: ILocalFiles, original: AssetKey) -> None:
    """Remove the pyramids of all pages of an original; blocks."""
    starts = beginnings(original)
    by_directory: dict[str, list[str]] = {}
    for page in range(1, MAX_PAGE + 1):
        name = f"{starts[len(str(page)) - 1]}{page}.zip"
        # The directory depends on the first characters only, however the store arranges its files.
        by_directory.setdefault(name[:4], []).append(name)
    for names in by_directory.values():
        any_of_them = AssetKey(original.collection, Kind.PYRAMID, names[0])
        with suppress(FileNotFoundError, NotADirectoryError), files.directory(any_of_them) as directory:
            for name in names:
                _remove_file(Entry(directory, name))


def _remove_file(entry: Entry) -> None:
    # Nearly always there is none: all pages are tried, as that costs the same however many pyramids there are.
    with suppress(FileNotFoundError):
        if stat.S_ISREG(entry.lstat().st_mode) and has_mark(entry):
            entry.unlink()


@attrs.frozen
class _End:
    """The end of a pyramid's file: its index and its mark."""

    index: PyramidIndex
    mark: bytes
    size: int


class _Indexes:
    """The ends of the pyramids used last, by key and version."""

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[AssetKey, str], _End] = OrderedDict()
        self._size = 0

    async def of(self, key: AssetKey, reader: IAssetReader) -> _End | None:
        """Fire with the end of an open pyramid; None if the file is none."""
        name = (key, reader.stat.etag)
        known = self._ends.get(name)
        if known:
            self._ends.move_to_end(name)
            return known
        end = await _read_end(reader)
        if end and name not in self._ends:
            self._ends[name] = end
            self._size += end.size
            while self._size > _REMEMBERED_BYTES:
                self._size -= self._ends.popitem(last=False)[1].size
        return end


async def _read_end(reader: IAssetReader) -> _End | None:
    size = reader.stat.size
    end = await _read(reader, max(0, size - _FIRST_READ), size)
    content, mark = end[:-MARK_SIZE], end[-MARK_SIZE:]
    try:
        length = index_size(content[-TRAILER_SIZE:])
        if length > len(content):
            content = await _read(reader, max(0, size - MARK_SIZE - length), size - MARK_SIZE)
        return _End(parse_index(content[-length:]), mark, length)
    except BadIndex:
        return None


async def _read(reader: IAssetReader, start: int, stop: int) -> bytes:
    async with aclosing(reader.read(start, stop)) as chunks:
        return b"".join([chunk async for chunk in chunks])


class EvictablePyramids:
    """The pyramids of a store, as an `Evictor` finds them."""

    kind = Kind.PYRAMID

    def entries(self, files: ILocalFiles, directory: str) -> "Iterator[os.DirEntry[str]]":
        """See `Evictable`."""
        return (entry for entry in files.files(directory, Kind.PYRAMID) if PYRAMID_NAME.fullmatch(entry.name))

    async def has_original(self, collections: Collections, derivative: AssetKey) -> bool:
        """See `Evictable`: a file without a mark is no pyramid of a daemon."""
        return False
