"""Promises about uploads: whole, broken off, cancelled."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract.base import ContractBase, Interrupted, breaks_off, clock, original, promise
from was_daemon.testing.contract.measure import resident_bytes
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset


class Writing(ContractBase):
    """Promises about uploads: whole, broken off, cancelled."""

    @promise
    async def test_an_empty_asset_is_an_asset(self, store: IAssetStore) -> None:
        stat = await store.write(original("empty.txt"), chunked(b""))
        assert stat.size == 0
        assert await read_asset(store, original("empty.txt")) == b""
        assert await store.stat(original("empty.txt")) == stat

    @promise
    async def test_one_byte_comes_back(self, store: IAssetStore) -> None:
        await store.write(original("one.txt"), chunked(b"1"))
        assert await read_asset(store, original("one.txt")) == b"1"

    @promise
    async def test_what_was_written_in_odd_chunks_comes_back_whole(self, store: IAssetStore) -> None:
        for size in (1, 7, 4093, 32767, 32769, 65536, 1_000_003, 3_000_000):
            content = payload(min(3_000_000, size * 1000), seed=size)
            stat = await store.write(original("odd.bin"), chunked(content, size))
            assert stat.size == len(content)
            assert await read_asset(store, original("odd.bin")) == content

    @promise
    async def test_what_is_written_with_its_size_told_comes_back_whole(self, store: IAssetStore) -> None:
        for size in (0, 1, 65_537, 3_000_001):
            content = payload(size, seed=size)
            assert (await store.write(original("told.bin"), chunked(content), size)).size == size
            assert await read_asset(store, original("told.bin")) == content

    @promise
    async def test_a_big_asset_streams_through_without_being_held(self, store: IAssetStore) -> None:
        block = payload(65_537)
        peak = before = resident_bytes()
        written, read = hashlib.sha256(), hashlib.sha256()

        async def many() -> AsyncIterator[bytes]:
            nonlocal peak
            for start in range(0, self.big, len(block)):
                chunk = block[: self.big - start]
                written.update(chunk)
                peak = max(peak, resident_bytes())
                yield chunk

        stat = await store.write(original("big.bin"), many(), self.big)
        reader = await store.open(original("big.bin"))
        async with aclosing(reader.read()) as chunks:
            async for chunk in chunks:
                assert 0 < len(chunk) <= 1_048_576
                read.update(chunk)
                peak = max(peak, resident_bytes())
        await reader.close()
        assert (stat.size, reader.stat.size) == (self.big, self.big)
        assert read.hexdigest() == written.hexdigest()
        assert self.holds_assets_in_memory or peak - before < max(self.big // 2, 35_000_000)

    @promise
    async def test_an_upload_that_breaks_off_leaves_the_old_content(self, store: IAssetStore) -> None:
        before = await store.write(original("kept.bin"), chunked(b"old" * 1000))
        with pytest.raises(Interrupted):
            await store.write(original("kept.bin"), breaks_off(payload(1_000_000)))
        assert await read_asset(store, original("kept.bin")) == b"old" * 1000
        assert await store.stat(original("kept.bin")) == before

    @promise
    async def test_an_upload_that_breaks_off_leaves_nothing_where_nothing_was(self, store: IAssetStore) -> None:
        for content in (b"", payload(1_000_000), payload(5_000_000)):
            for size in (None, len(content) + 1_000_000):
                with pytest.raises(Interrupted):
                    await store.write(original("never.bin"), breaks_off(content), size)
        with pytest.raises(AssetNotFound):
            await store.stat(original("never.bin"))
        assert await collect(store.list("", Kind.ORIGINAL)) == []

    @promise
    async def test_an_upload_cancelled_while_it_waits_for_its_client_changes_nothing(self, store: IAssetStore) -> None:
        await store.write(original("kept.bin"), chunked(b"old" * 1000))
        waiting: Deferred[None] = Deferred()

        async def stalls() -> AsyncGenerator[bytes, None]:
            yield payload(200_000)
            clock().callLater(0, waiting.callback, None)
            await Deferred()

        await self._cancelled_write(store, original("kept.bin"), stalls(), waiting)

    @promise
    async def test_an_upload_cancelled_while_its_bytes_flow_changes_nothing(self, store: IAssetStore) -> None:
        await store.write(original("kept.bin"), chunked(b"old" * 1000))
        flowing: Deferred[None] = Deferred()

        async def endless() -> AsyncGenerator[bytes, None]:
            for count in range(100_000):
                if count == 30:
                    clock().callLater(0, flowing.callback, None)
                await deferLater(clock(), 0)
                yield payload(50_000)

        await self._cancelled_write(store, original("kept.bin"), endless(), flowing)

    async def _cancelled_write(
        self, store: IAssetStore, key: AssetKey, chunks: AsyncGenerator[bytes, None], ready: Deferred[None]
    ) -> None:
        async with aclosing(chunks):
            upload = deferred(store.write(key, chunks))
            await ready
            upload.cancel()
            with pytest.raises(CancelledError):
                await upload
        assert await read_asset(store, key) == b"old" * 1000
        await store.write(key, chunked(b"new"))
        assert await read_asset(store, key) == b"new"
        assert await collect(store.list("", Kind.ORIGINAL)) == [key]
