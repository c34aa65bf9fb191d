"""Promises about stats, etags, and readers of a version that is replaced or deleted."""

from contextlib import aclosing

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from was_daemon.model.interfaces import IAssetStore
from was_daemon.testing.contract.base import GONE, ContractBase, clock, gather_all, original, promise
from was_daemon.testing.streams import chunked, payload, read_asset, read_reader


class Versions(ContractBase):
    """Promises about stats, etags, and readers of a version that is replaced or deleted."""

    @promise
    async def test_stat_equals_what_write_and_open_say(self, store: IAssetStore) -> None:
        written = await store.write(original("stat.bin"), chunked(b"x" * 12_345))
        reader = await store.open(original("stat.bin"))
        await reader.close()
        assert written == reader.stat == await store.stat(original("stat.bin"))
        assert written.size == 12_345
        assert written.modified > 1_000_000_000
        assert written.etag
        assert '"' not in written.etag

    @promise
    async def test_the_etag_changes_with_every_version_even_of_the_same_size(self, store: IAssetStore) -> None:
        etags: list[str] = []
        for version in range(8):
            stat = await store.write(original("etag.bin"), chunked(bytes([version]) * 1000))
            assert (await store.stat(original("etag.bin"))).etag == stat.etag
            etags.append(stat.etag)
        assert len(set(etags)) == len(etags)

    @promise
    async def test_an_asset_deleted_and_written_again_is_a_new_version(self, store: IAssetStore) -> None:
        first = await store.write(original("etag.bin"), chunked(b"first"))
        await store.delete(original("etag.bin"))
        assert (await store.write(original("etag.bin"), chunked(b"again"))).etag != first.etag

    @promise
    async def test_an_open_reader_never_sees_a_later_version(self, store: IAssetStore) -> None:
        old, new = payload(3_000_001, seed=1), payload(3_000_001, seed=2)
        await store.write(original("held.bin"), chunked(old))
        reader = await store.open(original("held.bin"))
        got = b""
        try:
            async with aclosing(reader.read()) as chunks:
                got = await anext(chunks)
                await store.write(original("held.bin"), chunked(new))
                async for chunk in chunks:
                    got += chunk
            assert got == old
        except GONE:
            assert got == old[: len(got)]
        finally:
            await reader.close()
        assert await read_asset(store, original("held.bin")) == new

    @promise
    async def test_an_open_reader_of_a_deleted_asset_gives_its_bytes_or_an_error(self, store: IAssetStore) -> None:
        content = payload(2_000_001)
        await store.write(original("held.bin"), chunked(content))
        reader = await store.open(original("held.bin"))
        await store.delete(original("held.bin"))
        try:
            assert await read_reader(reader) == content
        except GONE:
            pass
        finally:
            await reader.close()

    @promise
    async def test_readers_see_the_old_version_or_the_new_one_while_it_is_replaced(self, store: IAssetStore) -> None:
        key = original("replaced.bin")

        def version(number: int) -> bytes:
            return bytes([number]) * (300_000 + 1000 * number)

        finished = False

        async def keep_reading() -> None:
            while not finished:
                await deferLater(clock(), 0)  # a store that never waits would read for ever
                reader = await store.open(key)
                try:
                    content = await read_reader(reader)
                except GONE:
                    continue
                finally:
                    await reader.close()
                assert content == version(content[0])
                assert reader.stat.size == len(content)

        await store.write(key, chunked(version(0)))
        readers = [Deferred.fromCoroutine(keep_reading()) for _ in range(4)]
        try:
            for number in range(1, 16):
                await deferLater(clock(), 0)
                await store.write(key, chunked(version(number)))
        finally:
            finished = True
            await gather_all(readers)
        assert await read_asset(store, key) == version(15)
