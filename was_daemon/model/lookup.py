"""Look-ups in stores."""

from was_daemon.model.composition import IReplaces, written_part
from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey


async def find_stat(store: IAssetStore, key: AssetKey) -> AssetStat | None:
    """Fire with the status of an asset, None if there is none; raises what the store raises."""
    try:
        return await store.stat(key)
    except AssetNotFound:
        return None


async def find_replaced(store: IAssetStore, key: AssetKey) -> AssetStat | None:
    """Fire with the version that an upload replaces, None if there is none; for parts that are down see `IReplaces`."""
    if IReplaces.providedBy(store):
        replaced: AssetStat | None = await IReplaces(store).find_replaced(key)
        return replaced
    return await find_readable(store, key)


async def find_readable(store: IAssetStore, key: AssetKey) -> AssetStat | None:
    """Fire with the version that readers get, None if there is none.

    In a store that is made of others and cannot tell, as one of them is down, the version counts that is in the part
    which takes uploads: others lose nothing by it.
    """
    try:
        return await find_stat(store, key)
    except (StoreUnavailable, StoreFailed, StoreTimeout):
        part = written_part(store)
        if part is store:
            raise
        return await find_stat(part, key)
