"""The first look at a store or the spool: whether it can be used, and what a killed process left in it."""

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.config.process_number import ProcessNumber
from was_daemon.library.collections import Collections
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore, ILocalFiles, IPresence, IRooted, IUnfinished

_INSTANCES = "instances"
"""The directory in the spool by which processes know what others left unfinished at remote stores."""

_log = Logger()


def begin(what: str, step: Callable[[], Awaitable[int]]) -> None:
    """Take a `step` that removes unfinished files and fires with their number; log that, or why it failed."""

    async def take() -> None:
        try:
            removed = await step()
        except AssetError as error:
            _log.error("{what}: {error}", what=what, error=error)
        else:
            if removed:
                _log.info("{what}: removed {removed} unfinished files", what=what, removed=removed)

    Deferred.fromCoroutine(take())


async def begin_store(store: IAssetStore, collections: Collections, spool: Spool, process: ProcessNumber) -> int:
    """Check a store, and remove what killed processes left in it; fire with the number of removed files."""
    await settle(store, spool)
    removed = await _check(store, collections, process)
    return removed + (await IUnfinished(store).clean() if IUnfinished.providedBy(store) else 0)


async def settle(store: IAssetStore, spool: Spool) -> None:
    """Have later processes with the same spool recognise what this one leaves unfinished at a remote store."""
    if IUnfinished.providedBy(store):
        try:
            await IUnfinished(store).settle(await spool.directory(_INSTANCES))
        except AssetError as error:
            _log.error("{store}: what is left unfinished there stays for a day: {error}", store=store, error=error)


async def accept_root(store: IAssetStore, collections: Collections, process: ProcessNumber) -> int:
    """Take a store's directory as it is now: an administrator who put another in its place reloads the daemon.

    Fires with the number of unfinished files that were removed from it.
    """
    if not await IRooted(store).accept(collections.directories(store)):
        return 0
    _log.warn("{store}: the directory is another than before, and in use from now on", store=store)
    return await _check(store, collections, process)


async def _check(store: IAssetStore, collections: Collections, process: ProcessNumber) -> int:
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
