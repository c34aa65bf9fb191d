"""The memory store keeps every promise, and so the promises can be kept."""

from collections.abc import AsyncIterator

import pytest_twisted
from zope.interface.verify import verifyObject

from was_daemon.model.interfaces import IAssetReader, IAssetStore
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.memory import MemoryStore
from was_daemon.testing.streams import chunked


class TestMemoryStore(StoreContract):
    holds_assets_in_memory = True

    @pytest_twisted.async_yield_fixture
    async def store(self) -> AsyncIterator[MemoryStore]:
        store = MemoryStore()
        yield store
        await store.close()

    @pytest_twisted.ensureDeferred
    async def test_it_provides_the_interfaces(self, store: MemoryStore) -> None:
        await store.write(original("a.jpg"), chunked(b"a"))
        verifyObject(IAssetStore, store)
        verifyObject(IAssetReader, await store.open(original("a.jpg")))
