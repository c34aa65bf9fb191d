"""Promises about moves and copies by the store itself."""

import pytest

from was_daemon.model.errors import AssetExists, AssetNotFound, CannotMove
from was_daemon.model.interfaces import IAssetStore, IMoves
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract.base import ContractBase, original, promise
from was_daemon.testing.streams import chunked, collect, payload, read_asset


def in_trash(name: str, collection: str = "") -> AssetKey:
    """Return the key of a file in the trash."""
    return AssetKey(collection, Kind.TRASH, name)


class Moving(ContractBase):
    """Promises about assets in the trash, and about moves and copies of a store that provides `IMoves`."""

    @promise
    async def test_the_trash_holds_assets_that_no_other_listing_shows(self, store: IAssetStore) -> None:
        await store.write(in_trash("0123.file", "Fish"), chunked(b"bytes"))
        assert await read_asset(store, in_trash("0123.file", "Fish")) == b"bytes"
        assert await collect(store.list("Fish", Kind.TRASH)) == [in_trash("0123.file", "Fish")]
        assert await collect(store.list("Fish", Kind.TRASH, "0123")) == [in_trash("0123.file", "Fish")]
        assert await collect(store.list("Fish", Kind.ORIGINAL)) == []
        assert await collect(store.list("", Kind.TRASH)) == []
        await store.delete(in_trash("0123.file", "Fish"))
        assert await collect(store.list("Fish", Kind.TRASH)) == []

    @promise
    async def test_a_moved_asset_is_at_its_new_place_only(self, store: IAssetStore) -> None:
        content = payload(300_000)
        for name in ("plain.jpg", "Käfer #1 ? 100%.jpg"):
            for collection in ("", "Fish"):
                source, target = original(name, collection), in_trash("4567.file", collection)
                await store.write(source, chunked(content))
                await _moves(store).move(source, target)
                with pytest.raises(AssetNotFound):
                    await store.stat(source)
                assert await read_asset(store, target) == content
                await _moves(store).move(target, source)
                assert await read_asset(store, source) == content
                assert await collect(store.list(collection, Kind.TRASH)) == []

    @promise
    async def test_a_move_replaces_an_asset_only_when_asked(self, store: IAssetStore) -> None:
        await store.write(original("a.jpg"), chunked(b"old"))
        await _moves(store).move(original("a.jpg"), in_trash("89ab.file"))
        await store.write(original("a.jpg"), chunked(b"new"))
        with pytest.raises(AssetExists):
            await _moves(store).move(in_trash("89ab.file"), original("a.jpg"))
        assert await read_asset(store, original("a.jpg")) == b"new"
        assert await read_asset(store, in_trash("89ab.file")) == b"old"
        await _moves(store).move(in_trash("89ab.file"), original("a.jpg"), replace=True)
        assert await read_asset(store, original("a.jpg")) == b"old"

    @promise
    async def test_a_copy_keeps_the_version_that_is_replaced(self, store: IAssetStore) -> None:
        before = await store.write(original("a.jpg"), chunked(b"old"))
        await _moves(store).copy(original("a.jpg"), in_trash("cdef.file"))
        assert await store.stat(original("a.jpg")) == before
        await store.write(original("a.jpg"), chunked(b"newer"))
        assert await read_asset(store, in_trash("cdef.file")) == b"old"
        assert await read_asset(store, original("a.jpg")) == b"newer"
        await store.delete(original("a.jpg"))
        assert await read_asset(store, in_trash("cdef.file")) == b"old"

    @promise
    async def test_what_is_not_there_cannot_be_moved_or_copied(self, store: IAssetStore) -> None:
        with pytest.raises(AssetNotFound):
            await _moves(store).move(original("none.jpg"), in_trash("0000.file"))
        with pytest.raises(AssetNotFound):
            await _moves(store).copy(original("none.jpg"), in_trash("0000.file"))
        assert await collect(store.list("", Kind.TRASH)) == []


class _Moves:
    """The moves of a store; a test is skipped when its server cannot make them."""

    def __init__(self, store: IMoves) -> None:
        self._store = store

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        try:
            await self._store.move(source, target, replace)
        except CannotMove as error:
            pytest.skip(str(error))

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        try:
            await self._store.copy(source, target)
        except CannotMove as error:
            pytest.skip(str(error))


def _moves(store: IAssetStore) -> _Moves:
    if not IMoves.providedBy(store):
        pytest.skip("the store does not provide IMoves")
    return _Moves(IMoves(store))
