"""Resources that people put into ResourceSpace are served, and changed only where that is allowed."""

import pytest
import pytest_twisted

from tests.stores.resourcespace.conftest import MakeStore
from tests.support.resourcespace import FakeResourceSpace
from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.keys import Kind
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, collect, read_asset

KEY = original("UF 123.jpg")


@pytest_twisted.ensureDeferred
async def test_what_people_put_there_is_not_seen_unless_it_is_adopted(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    dam.add("originalfilename", KEY.name, b"theirs", "jpg")
    store = make_store(dam.url)
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)
    with pytest.raises(AssetNotFound):
        await store.delete(KEY)
    assert await collect(store.list("", Kind.ORIGINAL)) == []
    await store.write(KEY, chunked(b"ours"))
    assert await read_asset(store, KEY) == b"ours"


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("catalognumber", "UF 123", "UF 123.jpg"),
        ("catalognumber", "UF-123.4", "UF-123.4.jpg"),
        ("originalfilename", "Ex. Käfer (1) #2.JPG", "Ex. Käfer (1) #2.JPG"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_resource_is_adopted_by_the_value_of_a_field(
    dam: FakeResourceSpace, make_store: MakeStore, field: str, value: str, name: str
) -> None:
    dam.add(field, value, b"theirs", "jpg")
    dam.add(field, f"{value}a", b"other", "jpg")
    store = make_store(dam.url, adopt_field=field, read_only=True)
    await store.check()
    assert await read_asset(store, original(name)) == b"theirs"
    assert original(name) in await collect(store.list("", Kind.ORIGINAL))
    with pytest.raises(AssetNotFound):
        await store.stat(original(name, "Fish"))


@pytest_twisted.ensureDeferred
async def test_an_adopted_resource_is_changed_only_in_resourcespace(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    dam.add("catalognumber", "UF 123", b"theirs", "jpg")
    store = make_store(dam.url, adopt_field="catalognumber")
    for call in (store.write(KEY, chunked(b"ours")), store.delete(KEY)):
        with pytest.raises(StoreUnavailable, match="belongs to ResourceSpace"):
            await call
    assert await read_asset(store, KEY) == b"theirs"
    await store.write(original("UF 124.jpg"), chunked(b"ours"))
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY, original("UF 124.jpg")]


@pytest_twisted.ensureDeferred
async def test_an_adopted_resource_is_replaced_and_deleted_where_that_is_allowed(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    ref = dam.add("catalognumber", "UF 123", b"theirs", "jpg")
    store = make_store(dam.url, adopt_field="catalognumber", adopt_writable=True)
    before = await store.stat(KEY)
    assert await store.write(KEY, chunked(b"ours")) != before
    assert await read_asset(store, KEY) == b"ours"
    assert ref not in dam.active()
    await store.delete(KEY)
    ref = dam.add("catalognumber", "UF 123", b"theirs", "jpg")
    await store.delete(KEY)
    assert dam.active() == []


@pytest_twisted.ensureDeferred
async def test_of_two_resources_with_one_name_none_is_taken_by_guess(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    dam.add("originalfilename", "DSC_0001.JPG", b"one", "jpg")
    dam.add("originalfilename", "DSC_0001.JPG", b"two", "jpg")
    store = make_store(dam.url, adopt_field="originalfilename", adopt_writable=True)
    for call in (store.stat(original("DSC_0001.JPG")), store.delete(original("DSC_0001.JPG"))):
        with pytest.raises(StoreFailed, match="several resources") as caught:
            await call
        assert "resources 1, 2" in caught.value.reason
    assert len(dam.active()) == 2


@pytest_twisted.ensureDeferred
async def test_what_is_used_read_only_is_not_changed(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url)
    await store.write(KEY, chunked(b"ours"))
    reading = make_store(dam.url, read_only=True)
    for call in (reading.write(KEY, chunked(b"other")), reading.delete(KEY)):
        with pytest.raises(StoreUnavailable, match="read-only"):
            await call
    await reading.check()
    assert await reading.quirks() == []
    assert await read_asset(reading, KEY) == b"ours"
    assert len(dam.resources) == 1
