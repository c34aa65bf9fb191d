"""Moves and copies of assets within a store: by the store itself, or by reading and writing where it cannot.

A move that is interrupted leaves the asset under one of the two keys, or under both.
"""

from contextlib import aclosing, suppress

from was_daemon.model.digests import HashedStream, digest_of
from was_daemon.model.errors import AssetExists, AssetNotFound, CannotMove, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetStore, IMoves
from was_daemon.model.keys import AssetKey
from was_daemon.model.lookup import find_stat


async def move(store: IAssetStore, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
    """Make the asset `source` the asset `target`; raises `AssetNotFound`, and `AssetExists` without `replace`."""
    if IMoves.providedBy(store):
        with suppress(CannotMove):
            await IMoves(store).move(source, target, replace)
            return
    if not replace and await find_stat(store, target):
        raise AssetExists("an asset of this name exists")
    version = await _copy_bytes(store, source, target)
    current = await find_stat(store, source)
    if current and current.etag != version.etag:
        raise StoreUnavailable("the asset was replaced by somebody else at the same time")
    with suppress(AssetNotFound):
        await store.delete(source)


async def copy(store: IAssetStore, source: AssetKey, target: AssetKey) -> None:
    """Make the current version of `source` also the new asset `target`; raises `AssetNotFound`."""
    if IMoves.providedBy(store):
        with suppress(CannotMove):
            await IMoves(store).copy(source, target)
            return
    await _copy_bytes(store, source, target)


async def _copy_bytes(store: IAssetStore, source: AssetKey, target: AssetKey) -> AssetStat:
    """Copy an asset and read the copy again; fire with the version that was copied."""
    reader = await store.open(source)
    try:
        stream = HashedStream(reader)
        async with aclosing(stream.chunks()) as chunks:
            await store.write(target, chunks, reader.stat.size)
    finally:
        await reader.close()
    try:
        _, found = await digest_of(store, target)
    except AssetNotFound:
        raise StoreFailed("a copy is not there after it was written") from None
    if found != stream.digest:
        raise StoreFailed("what was read back of a copy is not what was written")
    return reader.stat
