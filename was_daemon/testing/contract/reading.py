"""Promises about readers: ranges, repeated reads, readers that stop early."""

from contextlib import aclosing

from was_daemon.model.interfaces import IAssetStore
from was_daemon.testing.contract.base import ContractBase, gather_all, original, promise
from was_daemon.testing.contract.measure import open_descriptors
from was_daemon.testing.streams import chunked, deferred, payload, read_asset, read_reader


class Reading(ContractBase):
    """Promises about readers: ranges, repeated reads, readers that stop early."""

    @promise
    async def test_ranges_are_the_bytes_asked_for(self, store: IAssetStore) -> None:
        content = payload(1_000_003)
        end = len(content)
        await store.write(original("range.bin"), chunked(content))
        reader = await store.open(original("range.bin"))
        try:
            for start, stop in [
                (0, None),
                (0, 1),
                (0, end),
                (1, end - 1),
                (end - 1, None),
                (end - 1, end),
                (32_767, 32_769),
                (65_535, 262_145),
                (500_000, None),
                (999_999, end + 1_000_000),
            ]:
                assert await read_reader(reader, start, stop) == content[start:stop], (start, stop)
        finally:
            await reader.close()

    @promise
    async def test_ranges_outside_or_of_nothing_are_empty(self, store: IAssetStore) -> None:
        await store.write(original("range.bin"), chunked(b"0123456789"))
        for start, stop in [(10, None), (11, None), (10, 20), (1000, 2000), (0, 0), (5, 5), (7, 3)]:
            assert await read_asset(store, original("range.bin"), start, stop) == b"", (start, stop)

    @promise
    async def test_one_reader_gives_its_bytes_many_times_even_interleaved(self, store: IAssetStore) -> None:
        content = payload(700_001)
        await store.write(original("again.bin"), chunked(content))
        reader = await store.open(original("again.bin"))
        try:
            reads = [deferred(read_reader(reader, start)) for start in (0, 350_000, 0, 700_000)]
            assert await gather_all(reads) == [content, content[350_000:], content, content[700_000:]]
        finally:
            await reader.close()

    @promise
    async def test_two_hundred_readers_that_stop_early_leave_nothing_open(self, store: IAssetStore) -> None:
        content = payload(1_500_000)
        await store.write(original("early.bin"), chunked(content))
        assert await read_asset(store, original("early.bin")) == content
        before = open_descriptors()
        for count in range(200):
            reader = await store.open(original("early.bin"))
            async with aclosing(reader.read(count)) as chunks:
                first = await anext(chunks)
                assert content[count:].startswith(first)
            await reader.close()
            await reader.close()
        assert open_descriptors() < before + 50
        assert await read_asset(store, original("early.bin")) == content

    @promise
    async def test_a_reader_may_be_closed_in_the_middle_of_a_read(self, store: IAssetStore) -> None:
        content = payload(3_000_000)
        await store.write(original("early.bin"), chunked(content))
        for _ in range(20):
            reader = await store.open(original("early.bin"))
            chunks = reader.read()
            await anext(chunks)
            await reader.close()
            async with aclosing(chunks):
                pass
        assert await read_asset(store, original("early.bin")) == content
