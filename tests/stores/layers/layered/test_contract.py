"""The layered store keeps every promise of a store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from storage_plugins.filesystem import FilesystemStore
from tests.support.moving import MovingStore
from was_daemon.model.composition import stores_in
from was_daemon.model.keys import Layout
from was_daemon.stores.layers.layered.layer import Layer
from was_daemon.stores.layers.layered.store import LayeredStore
from was_daemon.stores.layers.read_only import read_only
from was_daemon.testing.contract import StoreContract
from was_daemon.testing.memory import MemoryStore


class TestLayersInMemory(StoreContract):
    holds_assets_in_memory = True

    @pytest_twisted.async_yield_fixture
    async def store(self) -> AsyncIterator[LayeredStore]:
        store = LayeredStore(
            MovingStore(), [Layer("old", MovingStore()), Layer("masters", read_only(MemoryStore()))], 0
        )
        store.start()
        yield store
        await store.close()


@pytest.mark.slow
class TestLayersOnDisks(StoreContract):
    @pytest_twisted.async_yield_fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[LayeredStore]:
        first, old, masters = (FilesystemStore(tmp_path / name, Layout.FLAT) for name in ("new", "old", "masters"))
        (tmp_path / "masters").mkdir()
        store = LayeredStore(first, [Layer("old", old), Layer("masters", read_only(masters))], 0)
        store.start()
        yield store
        for each in stores_in(store):
            await each.close()
