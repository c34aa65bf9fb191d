"""Promises about simultaneous calls."""

from contextlib import aclosing

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import Kind
from was_daemon.testing.contract.base import ContractBase, clock, gather_all, original, original_names, promise
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset


class Concurrency(ContractBase):
    """Promises about simultaneous calls."""

    @promise
    async def test_sixteen_writers_and_readers_do_not_disturb_each_other(self, store: IAssetStore) -> None:
        async def one(number: int) -> None:
            key, content = original(f"{number}.bin", f"c{number % 3}"), payload(200_000 + number, seed=number)
            stat = await store.write(key, chunked(content, 9_999))
            assert await read_asset(store, key) == content
            assert await store.stat(key) == stat
            await store.delete(key)

        await gather_all([Deferred.fromCoroutine(one(number)) for number in range(16)])
        for collection in ("c0", "c1", "c2"):
            assert await collect(store.list(collection, Kind.ORIGINAL)) == []

    @promise
    async def test_of_many_writers_of_one_name_one_wins_whole(self, store: IAssetStore) -> None:
        contents = [payload(100_000 + number, seed=number) for number in range(8)]
        uploads = [deferred(store.write(original("race.bin"), chunked(content))) for content in contents]
        stats = await gather_all(uploads)
        assert await read_asset(store, original("race.bin")) in contents
        assert await store.stat(original("race.bin")) in stats
        assert await original_names(store) == ["race.bin"]

    @promise
    async def test_a_slow_reader_does_not_hold_up_the_others(self, store: IAssetStore) -> None:
        slow, quick = payload(5_000_000, seed=1), payload(100_000, seed=2)
        await store.write(original("slow.bin"), chunked(slow))
        await store.write(original("quick.bin"), chunked(quick))
        reader = await store.open(original("slow.bin"))
        try:
            async with aclosing(reader.read()) as chunks:
                got = await anext(chunks)
                for _ in range(50):
                    assert await read_asset(store, original("quick.bin")) == quick
                async for chunk in chunks:
                    got += chunk
            assert got == slow
        finally:
            await reader.close()

    @promise
    async def test_cancelled_calls_leave_the_store_usable(self, store: IAssetStore) -> None:
        content = payload(1_000_000)
        await store.write(original("busy.bin"), chunked(content))
        for _ in range(20):
            calls: list[Deferred[object]] = [
                deferred(read_asset(store, original("busy.bin"))),
                deferred(store.stat(original("busy.bin"))),
                deferred(collect(store.list("", Kind.ORIGINAL))),
            ]
            await deferLater(clock(), 0)
            for call in calls:
                call.cancel()
                await call.addErrback(lambda failure: failure.trap(CancelledError))
        assert await read_asset(store, original("busy.bin")) == content
