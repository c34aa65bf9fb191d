"""Look-ups in stores."""

from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey


async def find_stat(store: IAssetStore, key: AssetKey) -> AssetStat | None:
    """Fire with the status of an asset, None if there is none; raises what the store raises."""
    try:
        return await store.stat(key)
    except AssetNotFound:
        return None
