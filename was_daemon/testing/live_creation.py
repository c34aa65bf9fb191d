"""Promise about the creation of assets in a store that is in use."""

from pathlib import Path
from tempfile import TemporaryDirectory

from was_daemon.model.errors import AssetExists, CannotCreate
from was_daemon.model.interfaces import IAssetStore, ICreates
from was_daemon.model.keys import AssetKey
from was_daemon.testing.promises import NotTried, PromiseBroken, expect
from was_daemon.testing.staging import staged
from was_daemon.testing.streams import read_asset

_COST = "with overwrite = false, two daemons may both accept an upload of one new name at the same moment"


async def create_twice(store: IAssetStore, key: AssetKey) -> None:
    """Create the asset `key`, and try it once more; delete it."""
    if not ICreates.providedBy(store):
        raise NotTried(f"the plugin cannot: {_COST}")
    try:
        await _create(store, key, b"first")
    except CannotCreate as error:
        raise NotTried(f"{error}: {_COST}") from error
    try:
        await _create(store, key, b"second")
    except AssetExists:
        expect(await read_asset(store, key) == b"first", "a refused upload has replaced the asset")
        await store.delete(key)
        return
    raise PromiseBroken(f"a second upload is accepted: {_COST}")


async def _create(store: IAssetStore, key: AssetKey, content: bytes) -> None:
    with TemporaryDirectory(prefix="was-check-") as directory:
        async with staged(store, key, content, Path(directory)) as file:
            await ICreates(store).create(file, key)
