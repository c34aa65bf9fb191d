"""Promises about the creation of new assets."""

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, DeferredList

from was_daemon.model.errors import AssetExists, CannotCreate
from was_daemon.model.interfaces import AssetStat, IAssetStore, ICreates
from was_daemon.model.keys import AssetKey
from was_daemon.testing.contract.base import ContractBase, original, promise
from was_daemon.testing.staging import staged
from was_daemon.testing.streams import chunked, payload, read_asset

_SIZES = (0, 100_000, (6 << 20) + 1)
"""Sizes in bytes; the last one is more than what stores send in one piece."""


class Creating(ContractBase):
    """Promises of a store that provides `ICreates`."""

    @promise
    async def test_a_new_asset_is_created_and_an_old_one_stays(self, store: IAssetStore, tmp_path: Path) -> None:
        for size in _SIZES:
            first, second, key = payload(size, 1), payload(size + 1, 2), original(f"K\u00e4fer {size}.jpg", "Fish")
            stat = await _create(store, key, first, tmp_path)
            assert await store.stat(key) == stat
            with pytest.raises(AssetExists):
                await _create(store, key, second, tmp_path)
            assert await store.stat(key) == stat
            assert await read_asset(store, key) == first
        # It does not matter how the old one got there, and the name is free again without it.
        await store.write(key, chunked(b"written"))
        with pytest.raises(AssetExists):
            await _create(store, key, first, tmp_path)
        assert await read_asset(store, key) == b"written"
        await store.delete(key)
        await _create(store, key, second, tmp_path)
        assert await read_asset(store, key) == second

    @promise
    async def test_of_creations_at_the_same_time_one_succeeds(self, store: IAssetStore, tmp_path: Path) -> None:
        for size in _SIZES[1:]:
            key, contents = original(f"{size}.jpg"), [payload(size, seed) for seed in range(4)]
            # Where it cannot be done at all, the test is skipped here.
            await _create(store, original(f"{size} alone.jpg"), contents[0], tmp_path)
            creations = [Deferred.fromCoroutine(_create(store, key, each, tmp_path)) for each in contents]
            outcomes = await DeferredList(creations, consumeErrors=True)
            [winner] = [number for number, (is_done, _) in enumerate(outcomes) if is_done]
            refusals: list[Any] = [outcome for is_done, outcome in outcomes if not is_done]
            assert all(refusal.check(AssetExists) for refusal in refusals)
            assert await read_asset(store, key) == contents[winner]


async def _create(store: IAssetStore, key: AssetKey, content: bytes, spool: Path) -> AssetStat:
    """Create an asset; skip the test if the store, or its server, cannot."""
    if not ICreates.providedBy(store):
        pytest.skip("the store does not provide ICreates")
    async with staged(store, key, content, spool) as file:
        try:
            return await ICreates(store).create(file, key)
        except CannotCreate as error:
            pytest.skip(str(error))
