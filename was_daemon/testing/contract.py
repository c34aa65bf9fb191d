"""Every promise of `IAssetStore` as a test.

A plugin's author writes::

    class TestMyStore(StoreContract):
        @pytest_twisted.async_yield_fixture
        async def store(self):
            store = my_plugin.create(MyOptions(...))
            yield store
            await store.close()

and, when there is a server to stop and start, the fixtures `restart` and `down`. Needs pytest and pytest-twisted.
"""

import functools
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # it ships no annotations
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetStore, ISizes
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.live import check_live
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset, read_reader

P = ParamSpec("P")
S = TypeVar("S", bound="StoreContract")
T = TypeVar("T")

LEGAL_NAMES = [
    "plain.jpg",
    "PLAIN.JPG",
    "no extension",
    " leading and trailing ",
    "caf\u00e9.jpg",
    "cafe\u0301.jpg",
    "100%.jpg",
    "%2e%2e%2Fencoded.jpg",
    "#fragment.jpg",
    "plus+plus.jpg",
    "plus plus.jpg",
    "what?.jpg",
    "this&that=both;or.jpg",
    "'quoted' \"twice\".jpg",
    "*[a-z]{x,y}$HOME`id`|.jpg",
    "-rf",
    "~backup~",
    "a..b.jpg",
    "ends with a dot.",
    "originals",
    "thumbnails",
    "sp6123.att.jpg",
    "sp61234.att.jpg",
    "\u6a19\u672c\U0001f41f.tiff",
    "\u05e9\u05dc\u05d5\u05dd.png",
    "x" * 255,
    "\u00e9" * 127 + "x",
]
"""Names that have broken one server or another (contract, section 4)."""

GONE = (StoreUnavailable, StoreFailed, StoreTimeout)
"""What an open reader may raise when its version is gone."""


class Interrupted(Exception):
    """What a client that vanishes in the middle of its upload raises."""


def promise(
    test: Callable[Concatenate[S, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, None]]:
    """An `async def` test that fails when it takes longer than `patience`."""

    @functools.wraps(test)
    async def limited(self: S, *args: P.args, **kwargs: P.kwargs) -> None:
        started = _clock().seconds()
        running = Deferred.fromCoroutine(test(self, *args, **kwargs))
        try:
            await running.addTimeout(self.patience, _clock())
        finally:
            # A test of cancellation may take the time-out for its own and pass.
            assert _clock().seconds() - started < self.patience, f"it took longer than {self.patience} seconds"

    marked: Callable[Concatenate[S, P], Coroutine[Any, Any, None]] = pytest_twisted.ensureDeferred(limited)
    return marked


def original(name: str, collection: str = "") -> AssetKey:
    """The key of an original."""
    return AssetKey(collection, Kind.ORIGINAL, name)


def everyone(tasks: list[Deferred[T]]) -> Deferred[list[T]]:
    """What all `tasks` fire with; the first failure at once, as itself."""

    async def wait() -> list[T]:
        try:
            return await gatherResults(tasks, consumeErrors=True)
        except Exception as error:
            raise getattr(error, "subFailure").value from error  # noqa: B009 - FirstError, as gatherResults promises

    return Deferred.fromCoroutine(wait())


class StoreContract:
    """Subclass this and give it a fixture `store`; see the module's text."""

    patience = 60.0
    """Seconds any one test may take."""

    timeout = 35.0
    """Seconds within which a store must give up on a server that is down, or work again with one that is back."""

    big = 70_000_000
    """Bytes of the largest asset: more than any buffer on the way."""

    many = 2_000
    """Assets in the longest listing."""

    holds_assets_in_memory = False
    """True for a store that keeps its assets, or its server, in this process: nothing is said about memory then."""

    # -- what a plugin's author supplies -------------------------------------------------------------------------------

    @pytest.fixture
    def store(self) -> IAssetStore:
        """A fresh and empty store; the fixture closes it when the test is over."""
        raise NotImplementedError("give your test class a fixture called store")

    @pytest.fixture
    def restart(self) -> Callable[[], Awaitable[None]]:
        """An async function that stops the server behind `store`, breaking its connections, and starts it again."""
        pytest.skip("no fixture called restart")

    @pytest.fixture
    def down(self) -> IAssetStore:
        """A store whose server is down; the fixture closes it."""
        pytest.skip("no fixture called down")

    # -- round trips ---------------------------------------------------------------------------------------------------

    @promise
    async def test_check_passes(self, store: IAssetStore) -> None:
        await store.check()
        await store.check()

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
        peak = before = _resident_bytes()
        written, read = hashlib.sha256(), hashlib.sha256()

        async def many() -> AsyncIterator[bytes]:
            nonlocal peak
            for start in range(0, self.big, len(block)):
                chunk = block[: self.big - start]
                written.update(chunk)
                peak = max(peak, _resident_bytes())
                yield chunk

        stat = await store.write(original("big.bin"), many(), self.big)
        reader = await store.open(original("big.bin"))
        async with aclosing(reader.read()) as chunks:
            async for chunk in chunks:
                assert 0 < len(chunk) <= 1_048_576
                read.update(chunk)
                peak = max(peak, _resident_bytes())
        await reader.close()
        assert (stat.size, reader.stat.size) == (self.big, self.big)
        assert read.hexdigest() == written.hexdigest()
        assert self.holds_assets_in_memory or peak - before < max(self.big // 2, 35_000_000)

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
            assert await everyone(reads) == [content, content[350_000:], content, content[700_000:]]
        finally:
            await reader.close()

    # -- versions ------------------------------------------------------------------------------------------------------

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
                await deferLater(_clock(), 0)  # a store that never waits would read for ever
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
                await deferLater(_clock(), 0)
                await store.write(key, chunked(version(number)))
        finally:
            finished = True
            await everyone(readers)
        assert await read_asset(store, key) == version(15)

    # -- uploads that do not end well ----------------------------------------------------------------------------------

    @promise
    async def test_an_upload_that_breaks_off_leaves_the_old_content(self, store: IAssetStore) -> None:
        before = await store.write(original("kept.bin"), chunked(b"old" * 1000))
        with pytest.raises(Interrupted):
            await store.write(original("kept.bin"), _breaks_off(payload(1_000_000)))
        assert await read_asset(store, original("kept.bin")) == b"old" * 1000
        assert await store.stat(original("kept.bin")) == before

    @promise
    async def test_an_upload_that_breaks_off_leaves_nothing_where_nothing_was(self, store: IAssetStore) -> None:
        for content in (b"", payload(1_000_000), payload(5_000_000)):
            for size in (None, len(content) + 1_000_000):
                with pytest.raises(Interrupted):
                    await store.write(original("never.bin"), _breaks_off(content), size)
        with pytest.raises(AssetNotFound):
            await store.stat(original("never.bin"))
        assert await collect(store.list("", Kind.ORIGINAL)) == []

    @promise
    async def test_an_upload_cancelled_while_it_waits_for_its_client_changes_nothing(self, store: IAssetStore) -> None:
        await store.write(original("kept.bin"), chunked(b"old" * 1000))
        waiting: Deferred[None] = Deferred()

        async def stalls() -> AsyncGenerator[bytes, None]:
            yield payload(200_000)
            _clock().callLater(0, waiting.callback, None)
            await Deferred()

        await self._cancelled_write(store, original("kept.bin"), stalls(), waiting)

    @promise
    async def test_an_upload_cancelled_while_its_bytes_flow_changes_nothing(self, store: IAssetStore) -> None:
        await store.write(original("kept.bin"), chunked(b"old" * 1000))
        flowing: Deferred[None] = Deferred()

        async def endless() -> AsyncGenerator[bytes, None]:
            for count in range(100_000):
                if count == 30:
                    _clock().callLater(0, flowing.callback, None)
                await deferLater(_clock(), 0)
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

    # -- readers that stop early ---------------------------------------------------------------------------------------

    @promise
    async def test_two_hundred_readers_that_stop_early_leave_nothing_open(self, store: IAssetStore) -> None:
        content = payload(1_500_000)
        await store.write(original("early.bin"), chunked(content))
        assert await read_asset(store, original("early.bin")) == content
        before = _open_descriptors()
        for count in range(200):
            reader = await store.open(original("early.bin"))
            async with aclosing(reader.read(count)) as chunks:
                first = await anext(chunks)
                assert content[count:].startswith(first)
            await reader.close()
            await reader.close()
        assert _open_descriptors() < before + 50
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
            await deferLater(_clock(), 0)
            for call in calls:
                call.cancel()
                await call.addErrback(lambda failure: failure.trap(CancelledError))
        assert await read_asset(store, original("busy.bin")) == content

    # -- deletion ------------------------------------------------------------------------------------------------------

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
        assert await _names(store) == sorted(names[1:])

    # -- names, collections, listings ----------------------------------------------------------------------------------

    @promise
    async def test_every_legal_name_is_kept_as_it_is(self, store: IAssetStore) -> None:
        stats: dict[str, AssetStat] = {}
        for name in LEGAL_NAMES:
            stats[name] = await store.write(original(name), chunked(b"content of " + name.encode()))
        assert await _names(store) == sorted(LEGAL_NAMES)
        for name in LEGAL_NAMES:
            assert await read_asset(store, original(name)) == b"content of " + name.encode(), name
            assert await store.stat(original(name)) == stats[name], name
            assert await _names(store, prefix=name) == sorted(other for other in LEGAL_NAMES if other.startswith(name))
        for name in LEGAL_NAMES:
            await store.delete(original(name))
        assert await _names(store) == []

    @promise
    async def test_collections_and_kinds_are_kept_apart(self, store: IAssetStore) -> None:
        keys = [
            AssetKey(collection, kind, "same.jpg")
            for collection in ("", "Fish", "Fish/Types", "Fis", "fish and \u00e9 & 100%")
            for kind in Kind
        ]
        for key in keys:
            await store.write(key, chunked(repr(key).encode()))
        for key in keys:
            assert await read_asset(store, key) == repr(key).encode()
            assert await collect(store.list(key.collection, key.kind)) == [key]
        await store.delete(keys[0])
        for key in keys[1:]:
            assert await read_asset(store, key) == repr(key).encode()

    @promise
    async def test_a_collection_that_is_new_lists_nothing(self, store: IAssetStore) -> None:
        assert await collect(store.list("", Kind.ORIGINAL)) == []
        assert await collect(store.list("Nothing/Yet", Kind.THUMBNAIL, "a")) == []

    @promise
    async def test_the_sizes_are_those_of_a_collections_originals(self, store: IAssetStore) -> None:
        if not ISizes.providedBy(store):
            # What has not been promised cannot be broken.
            return
        assert sum(await collect(ISizes(store).sizes("Fish"))) == 0
        for name, size in (("a.jpg", 1000), ("b.jpg", 1), ("empty", 0)):
            await store.write(AssetKey("Fish", Kind.ORIGINAL, name), chunked(payload(size)))
        for other in (AssetKey("Fish", Kind.THUMBNAIL, "a_1.jpg"), AssetKey("Fish/Types", Kind.ORIGINAL, "a.jpg")):
            await store.write(other, chunked(payload(100)))
        assert sum(await collect(ISizes(store).sizes("Fish"))) == 1001
        await store.write(AssetKey("Fish", Kind.ORIGINAL, "a.jpg"), chunked(payload(10)))
        await store.delete(AssetKey("Fish", Kind.ORIGINAL, "b.jpg"))
        assert sum(await collect(ISizes(store).sizes("Fish"))) == 10

    @promise
    async def test_many_assets_are_listed_by_prefixes_that_begin_each_other(self, store: IAssetStore) -> None:
        names = sorted(
            {f"sp{number}.att.jpg" for number in range(self.many - 5)} | {"s", "sp", "spa", "t", "\u00e9t\u00e9"}
        )
        slots = DeferredSemaphore(16)

        async def put(name: str) -> None:
            await store.write(original(name), chunked(name.encode()))

        await everyone([slots.run(put, name) for name in names])
        assert await _names(store) == names
        for prefix in ("s", "sp", "sp1", "sp12", "sp123", "sp123.", "spa", "t", "\u00e9", "nothing"):
            assert await _names(store, prefix) == [name for name in names if name.startswith(prefix)], prefix
        async with aclosing(store.list("", Kind.ORIGINAL)) as keys:
            assert (await anext(keys)).name in names
        assert await read_asset(store, original("spa")) == b"spa"

    # -- many at a time ------------------------------------------------------------------------------------------------

    @promise
    async def test_sixteen_writers_and_readers_do_not_disturb_each_other(self, store: IAssetStore) -> None:
        async def one(number: int) -> None:
            key, content = original(f"{number}.bin", f"c{number % 3}"), payload(200_000 + number, seed=number)
            stat = await store.write(key, chunked(content, 9_999))
            assert await read_asset(store, key) == content
            assert await store.stat(key) == stat
            await store.delete(key)

        await everyone([Deferred.fromCoroutine(one(number)) for number in range(16)])
        for collection in ("c0", "c1", "c2"):
            assert await collect(store.list(collection, Kind.ORIGINAL)) == []

    @promise
    async def test_of_many_writers_of_one_name_one_wins_whole(self, store: IAssetStore) -> None:
        contents = [payload(100_000 + number, seed=number) for number in range(8)]
        uploads = [deferred(store.write(original("race.bin"), chunked(content))) for content in contents]
        stats = await everyone(uploads)
        assert await read_asset(store, original("race.bin")) in contents
        assert await store.stat(original("race.bin")) in stats
        assert await _names(store) == ["race.bin"]

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
    async def test_the_check_of_a_store_in_use_finds_nothing_and_leaves_nothing(self, store: IAssetStore) -> None:
        await store.write(original("mine.jpg"), chunked(b"mine"))
        results = await collect(check_live(store, ""))
        assert [result for result in results if result.problem is not None or not result.tried] == []
        assert await _names(store) == ["mine.jpg"]

    # -- servers that go away ------------------------------------------------------------------------------------------

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
        assert await _names(store) == ["lasting.bin", "more.bin"]

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

        messages = await everyone([deferred(refused(call)).addTimeout(self.timeout, _clock()) for call in calls])
        assert all(message and "\n" not in message for message in messages)

    async def _eventually(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns once the store has found its server again."""
        deadline = _clock().seconds() + self.timeout
        while True:
            try:
                return await call()
            except GONE:
                if _clock().seconds() > deadline:
                    raise
                await deferLater(_clock(), 0.05)


async def _names(store: IAssetStore, prefix: str = "") -> list[str]:
    return sorted(key.name for key in await collect(store.list("", Kind.ORIGINAL, prefix)))


async def _breaks_off(content: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunked(content):
        yield chunk
    raise Interrupted


def _clock() -> IReactorTime:
    return IReactorTime(reactor)


def _resident_bytes() -> int:
    """Memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _open_descriptors() -> int:
    """Open files and sockets of this process; 0 where the system does not say."""
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0
