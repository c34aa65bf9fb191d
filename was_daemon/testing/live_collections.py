"""Checks of the directories of a store's collections that leave its assets alone: `was-daemon check-store`."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from was_daemon.health.directories import check_collection
from was_daemon.library.collections import Collections
from was_daemon.model.interfaces import IAssetStore, ILocalFiles
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.local.staging import DIRECTORY as STAGING
from was_daemon.testing.live import new_stem
from was_daemon.testing.promises import PromiseResult, try_promise
from was_daemon.testing.streams import chunked

_WORDS = {Kind.ORIGINAL: "originals", Kind.THUMBNAIL: "thumbnails", Kind.PYRAMID: "deep zoom"}


async def check_collections(
    store: IAssetStore, collections: Collections, directories: Iterable[str]
) -> AsyncGenerator[PromiseResult, None]:
    """Write and delete an asset of each kind in each of these collections of `store`; yield a result for each."""
    for directory in directories:
        kinds = collections.place_in(directory).kinds_in(store)
        if not kinds:
            # The store is a part of another one, and nothing is written to it.
            continue
        words = ", ".join(_WORDS[kind] for kind in kinds)
        where = f"the collection in {directory}" if directory else "the store"
        step = partial(_write_each, store, collections, directory)
        yield await try_promise(f"{where} can be written to: {words}", step)


async def check_permissions(store: IAssetStore, collections: Collections, directory: str) -> None:
    """Raise `UnusableDirectory`, which tells the path, for a collection on this machine that cannot be written to."""
    if ILocalFiles.providedBy(store):
        await ILocalFiles(store).in_thread(None, check_collection, store, collections, directory)


async def _write_each(store: IAssetStore, collections: Collections, directory: str) -> None:
    await check_permissions(store, collections, directory)
    for key in _keys(directory):
        if key.kind in collections.place_in(directory).kinds_in(store):
            await store.write(key, chunked(b"check"), len(b"check"))
            await store.delete(key)


def _keys(directory: str) -> list[AssetKey]:
    """Return new keys of each kind."""
    original = AssetKey(directory, Kind.ORIGINAL, f"{new_stem()}.txt")
    return [original, original.thumbnail(1), original.pyramid(1), AssetKey(directory, Kind.TRASH, original.name)]


@asynccontextmanager
async def without_traces(store: IAssetStore, directories: Iterable[str]) -> AsyncIterator[None]:
    """Remove the empty directories that checks of these collections made in a store on this machine's disks."""
    if not ILocalFiles.providedBy(store):
        yield
        return
    files = ILocalFiles(store)
    missing = await files.in_thread(None, lambda: _missing(files, [key for each in directories for key in _keys(each)]))
    try:
        yield
    finally:
        await files.in_thread(None, _remove_empty, missing)


def _missing(files: ILocalFiles, keys: Iterable[AssetKey]) -> list[Path]:
    """Return the directories that do not exist yet and that assets with these keys need, the innermost first."""
    needed = set()
    for key in keys:
        path = files.path(key)
        needed |= {parent for parent in path.parents if files.root in parent.parents}
        needed.add(files.root / key.collection / key.kind.value / STAGING)
    return sorted((path for path in needed if not os.path.lexists(path)), key=lambda path: -len(path.parts))


def _remove_empty(directories: Iterable[Path]) -> None:
    for directory in directories:
        with suppress(OSError):
            directory.rmdir()
