"""Steps that callers take in the same way with local and with remote stores."""

from contextlib import aclosing

from twisted.logger import Logger

from was_daemon.library.collections import Place
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetError, NoThumbnail
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    IStages,
    IStagingFile,
    IThumbnails,
    IUnfinished,
)
from was_daemon.model.keys import AssetKey

_INSTANCES = "instances"
"""Directory in the spool that records which processes have unfinished uploads at remote stores."""

_log = Logger()


async def register(store: IAssetStore, spool: Spool) -> None:
    """Register this process in the spool, so that later ones recognise what it leaves unfinished at a remote store."""
    if IUnfinished.providedBy(store):
        try:
            await IUnfinished(store).register(await spool.directory(_INSTANCES))
        except AssetError as error:
            _log.error(
                "{store}: uploads that this process leaves unfinished will be removed only after a day: {error}",
                store=store,
                error=error,
            )


async def open_staging_file(store: IAssetStore, near: AssetKey | None, spool: Spool) -> IStagingFile:
    """Open a temporary file for an asset: on the store's own disk if it has one, otherwise in the spool.

    `near` is the key of the asset, None when that is not known yet.
    """
    return await (IStages(store).stage(near) if IStages.providedBy(store) else spool.stage())


async def store_staged(store: IAssetStore, key: AssetKey, staged: IStagingFile) -> AssetStat:
    """Make a staging file the asset `key`: by renaming it in a local store, by sending its bytes to a remote one."""
    if IStages.providedBy(store):
        return await IStages(store).adopt(staged, key)
    async with aclosing(staged.read()) as chunks:
        return await store.write(key, chunks, await staged.size())


async def own_thumbnail(place: Place, key: AssetKey, scale: int) -> tuple[IAssetReader, str] | None:
    """Open the thumbnail that the store itself has of an original; None if the daemon is to make one."""
    if not place.has_pictures:
        return None
    try:
        opened: tuple[IAssetReader, str] = await IThumbnails(place.store).thumbnail(key, scale)
    except NoThumbnail:
        if place.makes_thumbnails:
            raise
        return None
    return opened
