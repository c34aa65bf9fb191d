"""Promises about checks of a store, and servers that are down or come back."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from twisted.internet.task import deferLater

from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import Kind
from was_daemon.testing.contract.base import GONE, ContractBase, clock, gather_all, original, original_names, promise
from was_daemon.testing.contract.measure import blocking_calls
from was_daemon.testing.live import check_live
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset, read_reader

T = TypeVar("T")


class Faults(ContractBase):
    """Promises about checks of a store, and servers that are down or come back."""

    @promise
    async def test_check_passes(self, store: IAssetStore) -> None:
        await store.check()
        await store.check()

    @promise
    async def test_no_operation_blocks_the_reactor(self, store: IAssetStore) -> None:
        key, content = original("any.jpg"), payload(300_000)
        with blocking_calls() as found:
            await store.write(key, chunked(content), len(content))
            await store.stat(key)
            assert await read_asset(store, key) == content
            assert await original_names(store) == ["any.jpg"]
            await store.delete(key)
            await store.check()
        assert found == [], "the reactor waits meanwhile: call blocking functions in a thread"

    @promise
    async def test_the_check_of_a_store_in_use_finds_nothing_and_leaves_nothing(self, store: IAssetStore) -> None:
        await store.write(original("mine.jpg"), chunked(b"mine"))
        results = await collect(check_live(store, ""))
        # A remark tells of something that the daemon makes up for.
        assert [each for each in results if each.problem is not None or not (each.tried or each.remark)] == []
        assert await original_names(store) == ["mine.jpg"]

    @promise
    async def test_it_works_again_by_itself_after_the_server_was_restarted(
        self, store: IAssetStore, restart: Callable[[], Awaitable[None]]
    ) -> None:
        content = payload(2_000_000)
        await store.write(original("lasting.bin"), chunked(content))
        reader = await store.open(original("lasting.bin"))
        await restart()
        try:
            assert await read_reader(reader) == content
        except GONE:
            pass
        finally:
            await reader.close()
        assert await self._eventually(lambda: read_asset(store, original("lasting.bin"))) == content
        await store.write(original("more.bin"), chunked(b"more"))
        assert await original_names(store) == ["lasting.bin", "more.bin"]

    @promise
    async def test_a_server_that_is_down_is_a_clear_error_in_time(self, down: IAssetStore) -> None:
        key = original("any.jpg")
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: down.stat(key),
            lambda: down.open(key),
            lambda: down.write(key, chunked(b"bytes")),
            lambda: down.delete(key),
            lambda: collect(down.list("", Kind.ORIGINAL)),
            down.check,
        ]

        async def refused(call: Callable[[], Awaitable[object]]) -> str:
            with pytest.raises(StoreUnavailable) as caught:
                await call()
            return str(caught.value)

        messages = await gather_all([deferred(refused(call)).addTimeout(self.timeout, clock()) for call in calls])
        assert all(message and "\n" not in message for message in messages)

    async def _eventually(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat `call` until the store has found its server again; return its result."""
        deadline = clock().seconds() + self.timeout
        while True:
            try:
                return await call()
            except GONE:
                if clock().seconds() > deadline:
                    raise
                await deferLater(clock(), 0.05)
