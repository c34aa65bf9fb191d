"""Checks of stores and the spool at the start, and removal of files that a killed process left there."""

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.config.process_share import ProcessShare
from was_daemon.library.collections import Collections
from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import register
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IPresence, IRooted, IUnfinished

_log = Logger()


def run_and_log(what: str, step: Callable[[], Awaitable[int]]) -> None:
    """Run `step`, which removes unfinished files and fires with their number; log the number, or why it failed."""

    async def take() -> None:
        try:
            removed = await step()
        except AssetError as error:
            _log.error("{what}: {error}", what=what, error=error)
        else:
            if removed:
                _log.info("{what}: removed {removed} unfinished files", what=what, removed=removed)

    Deferred.fromCoroutine(take())


async def prepare_store(store: IAssetStore, collections: Collections, spool: Spool, process: ProcessShare) -> int:
    """Check a store, and remove files that killed processes left in it; fire with the number of removed files."""
    await register(store, spool)
    removed = await _check(store, collections, process)
    return removed + (await IUnfinished(store).clean() if IUnfinished.providedBy(store) else 0)


async def accept_new_root(store: IAssetStore, collections: Collections, process: ProcessShare) -> int:
    """Accept the store's directory that is there now: an administrator who has replaced it reloads the daemon.

    Fires with the number of unfinished files that were removed from it.
    """
    if not await IRooted(store).accept(collections.directories(store)):
        return 0
    _log.warn("{store}: the directory is another than before, and in use from now on", store=store)
    return await _check(store, collections, process)


async def _check(store: IAssetStore, collections: Collections, process: ProcessShare) -> int:
    await store.check()
    if IRooted.providedBy(store):
        await IRooted(store).accept(collections.directories(store))
    if not process.is_first:
        return 0
    if IPresence.providedBy(store):
        others = await IPresence(store).announce()
        if others:
            _log.info("{others} uses {store}, too", others=" and ".join(others), store=store)
    if not ILocalFiles.providedBy(store):
        return 0
    return await ILocalFiles(store).clean(collections.directories(store))
