"""Promises about deletions."""

import pytest

from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract.base import ContractBase, original, original_names, promise
from was_daemon.testing.streams import chunked, collect


class Deleting(ContractBase):
    """Promises about deletions."""

    @promise
    async def test_a_deleted_asset_is_gone(self, store: IAssetStore) -> None:
        await store.write(original("gone.bin"), chunked(b"bytes"))
        await store.delete(original("gone.bin"))
        with pytest.raises(AssetNotFound):
            await store.stat(original("gone.bin"))
        with pytest.raises(AssetNotFound):
            await store.open(original("gone.bin"))
        assert await collect(store.list("", Kind.ORIGINAL)) == []

    @promise
    async def test_what_was_never_there_is_not_found(self, store: IAssetStore) -> None:
        for key in (original("none.jpg"), original("none.jpg", "Nowhere"), AssetKey("", Kind.THUMBNAIL, "none.jpg")):
            with pytest.raises(AssetNotFound):
                await store.stat(key)
            with pytest.raises(AssetNotFound):
                await store.open(key)
            with pytest.raises(AssetNotFound):
                await store.delete(key)

    @promise
    async def test_deleting_one_asset_leaves_those_with_similar_names(self, store: IAssetStore) -> None:
        names = ["sp6123.att.jpg", "sp61234.att.jpg", "sp6123.att.jpg.txt", "sp6123.att", "SP6123.att.jpg"]
        for name in names:
            await store.write(original(name), chunked(name.encode()))
        await store.delete(original("sp6123.att.jpg"))
        assert await original_names(store) == sorted(names[1:])
