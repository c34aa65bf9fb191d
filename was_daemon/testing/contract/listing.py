"""Promises about names, collections, listings and sizes."""

from collections.abc import Sequence
from contextlib import aclosing

from twisted.internet.defer import DeferredSemaphore

from was_daemon.model.interfaces import AssetStat, IAssetStore, ISizes
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract.base import ContractBase, gather_all, original, original_names, promise
from was_daemon.testing.streams import chunked, collect, payload, read_asset

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
"""Legal names that have broken one server or another (contract, section 4)."""


class Listing(ContractBase):
    """Promises about names, collections, listings and sizes."""

    legal_names: Sequence[str] = LEGAL_NAMES
    """Names that the store must keep."""

    @promise
    async def test_every_legal_name_is_kept_as_it_is(self, store: IAssetStore) -> None:
        stats: dict[str, AssetStat] = {}
        for name in self.legal_names:
            stats[name] = await store.write(original(name), chunked(b"content of " + name.encode()))
        assert await original_names(store) == sorted(self.legal_names)
        for name in self.legal_names:
            assert await read_asset(store, original(name)) == b"content of " + name.encode(), name
            assert await store.stat(original(name)) == stats[name], name
            assert await original_names(store, prefix=name) == sorted(
                other for other in self.legal_names if other.startswith(name)
            )
        for name in self.legal_names:
            await store.delete(original(name))
        assert await original_names(store) == []

    @promise
    async def test_collections_and_kinds_are_kept_apart(self, store: IAssetStore) -> None:
        keys = [
            AssetKey(collection, kind, "same.jpg")
            for collection in ("", "Fish", "Fish/Types", "Fis", "fish and \u00e9 & 100%")
            for kind in self.kinds
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
            # The store does not promise sizes.
            return
        assert sum(await collect(ISizes(store).sizes("Fish"))) == 0
        for name, size in (("a.jpg", 1000), ("b.jpg", 1), ("empty", 0)):
            await store.write(AssetKey("Fish", Kind.ORIGINAL, name), chunked(payload(size)))
        for other in (AssetKey("Fish", Kind.THUMBNAIL, "a_1.jpg"), AssetKey("Fish/Types", Kind.ORIGINAL, "a.jpg")):
            if other.kind in self.kinds:
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

        await gather_all([slots.run(put, name) for name in names])
        assert await original_names(store) == names
        for prefix in ("s", "sp", "sp1", "sp12", "sp123", "sp123.", "spa", "t", "\u00e9", "nothing"):
            assert await original_names(store, prefix) == [name for name in names if name.startswith(prefix)], prefix
        async with aclosing(store.list("", Kind.ORIGINAL)) as keys:
            assert (await anext(keys)).name in names
        assert await read_asset(store, original("spa")) == b"spa"
