"""Thumbnails that exist: found, made once, published whole, forgotten with their originals."""

import re
from collections import OrderedDict
from collections.abc import Coroutine, Iterable
from contextlib import aclosing, suppress
from pathlib import Path
from posixpath import splitext
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from was_daemon.collections import Collections
from was_daemon.errors import AssetNotFound, BrokenImage, NoThumbnail
from was_daemon.interfaces import AssetStat, IAssetReader, IAssetStore, ILocalFiles, IStagingFile
from was_daemon.keys import AssetKey, Kind
from was_daemon.locks import KeyLocks
from was_daemon.spool import Spool
from was_daemon.thumbnails.pool import Job, WorkerPool
from was_daemon.thumbnails.render import output_format, png_owner
from was_daemon.thumbnails.worker import Render

_OWNER_BYTES = 1024
_REMEMBERED = 10_000
_THUMBNAIL_NAME = re.compile(r"(?P<root>.+)_(?P<scale>[1-9][0-9]{0,8})(?P<extension>\.[^.]+)", re.DOTALL)
_OFFICIAL_PNG = (".png", ".pdf", ".tif", ".tiff", ".heic", ".heif", ".PDF", ".TIF", ".TIFF", ".HEIC", ".HEIF")
"""Extensions of originals whose thumbnails the official server makes as PNG, without saying whose they are."""

_PROBED_SCALES = 4096
"""The largest scale of a thumbnail that is looked for when its original goes."""


class _Making:
    """A thumbnail under way, and who waits for it."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self._task: Deferred[None] | None = None
        self._waiters: set[Deferred[None]] = set()
        self._finished = False
        self._outcome: Failure | None = None

    def start(self, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        """Begin; the Deferred fires with None when `work` has ended, whatever came of it."""
        self._task = Deferred.fromCoroutine(work)
        return self._task.addBoth(self._finish)

    def _finish(self, outcome: Failure | None) -> None:
        self._finished = True
        self._outcome = outcome
        while self._waiters:
            self._waiters.pop().callback(outcome)

    def join(self) -> Deferred[None]:
        """Wait for the outcome; cancelling the Deferred leaves."""
        waiter: Deferred[None] = Deferred(self._leave)
        if self._finished:
            waiter.callback(self._outcome)
        else:
            self._waiters.add(waiter)
        return waiter

    def _leave(self, waiter: Deferred[None]) -> None:
        self._waiters.discard(waiter)
        # A job that runs already is let finish: whoever left while scrolling will soon scroll back.
        if not self._waiters and self._task and not (self.job and self.job.running):
            self._task.cancel()


class Thumbnails:
    """The thumbnails of all collections."""

    def __init__(
        self, collections: Collections, locks: KeyLocks[AssetKey], spool: Spool, pool: WorkerPool, max_pixels: int
    ) -> None:
        self._collections = collections
        self._locks = locks
        self._spool = spool
        self._pool = pool
        self._max_pixels = max_pixels
        self._making: dict[tuple[AssetKey, str], _Making] = {}
        self._refused: OrderedDict[tuple[AssetKey, str], NoThumbnail | BrokenImage] = OrderedDict()

    async def find(self, key: AssetKey, original: AssetStat, scale: int) -> IAssetReader | None:
        """Open the thumbnail of this version of `key` if there is one; the caller closes it."""
        thumbnail = key.thumbnail(scale)
        try:
            reader = await self._collections.place(key).thumbnails.open(thumbnail)
        except AssetNotFound:
            return None
        if reader.stat.modified >= original.modified and await _belongs_to(reader, thumbnail, key):
            return reader
        await reader.close()
        return None

    async def owners(self, thumbnail: AssetKey) -> list[tuple[AssetKey, int]]:
        """The originals that a stored thumbnail may belong to, each with the scale; raises `AssetNotFound`."""
        match = _THUMBNAIL_NAME.fullmatch(thumbnail.name)
        if not match:
            return []
        names = [match["root"] + match["extension"]]
        if match["extension"] == ".png":
            reader = await self._collections.place(thumbnail).thumbnails.open(thumbnail)
            owner = await _owner(reader)
            await reader.close()
            names = [owner] if owner else [match["root"] + extension for extension in _OFFICIAL_PNG]
        keys = [AssetKey(thumbnail.collection, Kind.ORIGINAL, name) for name in names]
        scale = int(match["scale"])
        return [(key, scale) for key in keys if key.thumbnail(scale) == thumbnail]

    async def make(self, key: AssetKey, original: AssetStat, scale: int, client: str) -> None:
        """Make the thumbnail of this version of `key`; whoever asks for it meanwhile shares the work.

        Nothing is published when the original has changed meanwhile. Raises `NoThumbnail`, `BrokenImage`,
        `Overloaded`, and what the stores raise.
        """
        version = (key, original.etag)
        if version in self._refused:
            self._refused.move_to_end(version)
            raise self._refused[version]
        shared = (key.thumbnail(scale), original.etag)
        making = self._making.get(shared)
        if making is None:
            making = self._making[shared] = _Making()
            making.start(self._make(making, key, original, scale, client)).addBoth(lambda _: self._making.pop(shared))
        await making.join()

    async def _make(self, making: _Making, key: AssetKey, original: AssetStat, scale: int, client: str) -> None:
        place = self._collections.place(key)
        thumbnail = key.thumbnail(scale)
        async with self._spool.local(place.store, key) as source:
            staged = await self._stage(place.thumbnails, thumbnail)
            try:
                output = {
                    "scale": scale,
                    "format": output_format(thumbnail.name),
                    "path": str(staged.path),
                    "owner": key.name,
                }
                making.job = self._pool.submit(
                    Render,
                    client,
                    source=str(source),
                    name=key.name,
                    outputs=[output],
                    max_pixels=self._max_pixels,
                )
                await making.job.done
                async with self._locks.holding(key):
                    if (await place.store.stat(key)).etag == original.etag:
                        await _publish(place.thumbnails, staged, thumbnail)
            except (NoThumbnail, BrokenImage) as refusal:
                self._remember((key, original.etag), refusal)
                raise
            finally:
                staged.discard()

    async def _stage(self, store: IAssetStore, thumbnail: AssetKey) -> IStagingFile:
        return await (ILocalFiles(store).stage(thumbnail) if ILocalFiles.providedBy(store) else self._spool.stage())

    def _remember(self, version: tuple[AssetKey, str], refusal: NoThumbnail | BrokenImage) -> None:
        self._refused[version] = refusal
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)

    async def forget(self, key: AssetKey) -> None:
        """Remove the thumbnails of `key`, of every version and scale, and no others."""
        store = self._collections.place(key).thumbnails
        if ILocalFiles.providedBy(store):
            # Trying every scale costs the same however many thumbnails there are; listing them would not.
            files = ILocalFiles(store)
            paths = [files.path(key.thumbnail(scale)) for scale in range(1, _PROBED_SCALES + 1)]
            await files.in_thread(_remove_files, paths, key)
            return
        root, ending = splitext(key.thumbnail(1).name)
        async with aclosing(store.list(key.collection, Kind.THUMBNAIL, root[:-1])) as found:
            thumbnails = [thumbnail async for thumbnail in found if _scale_of(thumbnail, root[:-1], ending)]
        for thumbnail in thumbnails:
            with suppress(AssetNotFound):
                reader = await store.open(thumbnail)
                mine = await _belongs_to(reader, thumbnail, key)
                await reader.close()
                if mine:
                    await store.delete(thumbnail)


async def _publish(store: IAssetStore, staged: IStagingFile, key: AssetKey) -> None:
    if ILocalFiles.providedBy(store):
        await ILocalFiles(store).adopt(staged, key)
    else:
        async with aclosing(staged.read()) as chunks:
            await store.write(key, chunks)


def _scale_of(thumbnail: AssetKey, root: str, ending: str) -> int | None:
    scale = thumbnail.name.removeprefix(root).removesuffix(ending)
    return int(scale) if thumbnail.name == f"{root}{scale}{ending}" and scale.isascii() and scale.isdigit() else None


async def _belongs_to(reader: IAssetReader, thumbnail: AssetKey, key: AssetKey) -> bool:
    """Whether a thumbnail is one of `key`'s: `a.tif`, `a.pdf` and `a.png` all have thumbnails called `a_123.png`.

    A PNG of ours says whose it is; what does not say so was made by the official server and belongs to any of them.
    """
    if not thumbnail.name.endswith(".png"):
        return True
    return await _owner(reader) in (None, key.name)


async def _owner(reader: IAssetReader) -> str | None:
    async with aclosing(reader.read(0, _OWNER_BYTES)) as chunks:
        return png_owner(b"".join([chunk async for chunk in chunks]))


def _remove_files(paths: Iterable[Path], key: AssetKey) -> None:
    """Remove those of the thumbnails at `paths` that exist and are `key`'s; blocks."""
    for path in paths:
        try:
            if path.suffix != ".png" or _file_owner(path) in (None, key.name):
                path.unlink()
        except FileNotFoundError:
            continue


def _file_owner(path: Path) -> str | None:
    with path.open("rb") as file:
        return png_owner(file.read(_OWNER_BYTES))
