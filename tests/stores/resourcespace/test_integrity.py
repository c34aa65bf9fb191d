"""Nothing that was acknowledged is lost, and nothing that was deleted comes back, whatever breaks off."""

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.stores.resourcespace.conftest import MakeStore
from tests.support.resourcespace import DELETED, FakeResourceSpace
from was_daemon.model.errors import AssetNotFound, NoSpace, StoreFailed, StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, collect, payload, read_asset

KEY = original("3f2504e0-4f89-41d3-9a0c-0305e82c3301.jpg")


async def until_there(dam: FakeResourceSpace, refs: list[int]) -> None:
    """Wait until these resources are there, deleted or not, and no others."""
    for _ in range(500):
        if list(dam.resources) == refs:
            break
        await deferLater(reactor, 0.01)
    assert list(dam.resources) == refs


@pytest_twisted.ensureDeferred
async def test_a_version_is_a_resource_of_its_own_and_the_older_one_is_deleted(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    store = make_store(dam.url, archive=2, resource_type=4, collection=12)
    await store.write(KEY, chunked(b"old"))
    await store.write(KEY, chunked(b"new"))
    assert dam.active() == [2]
    assert dam.resources[1]["archive"] == DELETED
    assert dam.resources[2] | {"archive": 2, "resource_type": 4, "created_by": 7} == dam.resources[2]
    assert dam.collections == [(12, 1), (12, 2)]
    assert dam.values[2]["originalfilename"] == KEY.name


@pytest_twisted.ensureDeferred
async def test_what_a_killed_process_left_neither_hides_the_asset_nor_comes_back(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    dam.add("originalfilename", KEY.name, b"oldest", "jpg", user="specify")
    dam.add("originalfilename", KEY.name, b"newest", "jpg", user="specify")
    store = make_store(dam.url)
    unfinished = await store._dam.create(KEY)
    await store._dam.name(unfinished, KEY)
    assert await read_asset(store, KEY) == b"newest"
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]
    assert unfinished in dam.active()
    await store.delete(KEY)
    with pytest.raises(AssetNotFound):
        await store.stat(KEY)
    deletions = [arguments["resource"] for function, arguments in dam.calls if function == "delete_resource"]
    assert deletions == ["1", "2"], "an older version would be the asset for a moment"


@pytest_twisted.ensureDeferred
async def test_a_resource_without_a_file_is_removed_when_it_is_old(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    store = make_store(dam.url)
    ref = await store._dam.create(KEY)
    dam.resources[ref]["creation_date"] = "2020-01-01 00:00:00"
    assert await collect(store.list("", Kind.ORIGINAL)) == []
    await until_there(dam, [])


@pytest_twisted.ensureDeferred
async def test_a_failed_upload_leaves_no_resource(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    async def breaks_off() -> AsyncIterator[bytes]:
        yield payload(2_000_000)
        raise InterruptedError

    store = make_store(dam.url)
    await store.write(KEY, chunked(b"old"))
    with pytest.raises(InterruptedError):
        await store.write(KEY, breaks_off(), 3_000_000)
    await until_there(dam, [1])
    assert await read_asset(store, KEY) == b"old"


@pytest_twisted.ensureDeferred
async def test_an_upload_that_arrives_damaged_does_not_become_the_asset(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    store = make_store(dam.url)
    await store.write(KEY, chunked(b"old"))
    for damage in ({"file_size": 2}, {"file_checksum": "0" * 32}):

        def told(arguments: dict[str, str], damage: dict[str, object] = damage) -> object:
            return dam.resources[int(arguments["resource"])] | damage

        dam.answers["get_resource_data"] = told
        with pytest.raises(StoreFailed, match="damaged"):
            await store.write(KEY, chunked(b"new"))
        dam.answers.clear()
        assert await read_asset(store, KEY) == b"old"


@pytest_twisted.ensureDeferred
async def test_a_deletion_that_resourcespace_did_not_make_is_an_error(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    store = make_store(dam.url)
    await store.write(KEY, chunked(b"old"))
    dam.answers["delete_resource"] = lambda _arguments: True
    with pytest.raises(StoreFailed, match="did not delete"):
        await store.delete(KEY)
    dam.answers["delete_resource"] = lambda _arguments: False
    with pytest.raises(StoreUnavailable, match="did not delete resource 1"):
        await store.delete(KEY)
    assert await read_asset(store, KEY) == b"old"


@pytest_twisted.ensureDeferred
async def test_a_deletion_is_not_asked_for_twice_when_its_answer_is_lost(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    def breaks(_arguments: dict[str, str]) -> object:
        raise ConnectionError

    store = make_store(dam.url)
    await store.write(KEY, chunked(b"old"))
    dam.answers["delete_resource"] = breaks
    with pytest.raises(StoreUnavailable):
        await store.delete(KEY)
    assert [function for function, _arguments in dam.calls].count("delete_resource") == 1


@pytest_twisted.ensureDeferred
async def test_purged_files_are_gone_for_ever(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url, purge=True)
    await store.write(KEY, chunked(b"old"))
    await store.write(KEY, chunked(b"new"))
    await store.delete(KEY)
    assert dam.resources == {}


@pytest_twisted.ensureDeferred
async def test_a_version_that_resourcespace_replaced_in_place_is_not_mixed_with_the_opened_one(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    store = make_store(dam.url)
    before = await store.write(KEY, chunked(b"old"))
    reader = await store.open(KEY)
    dam.path(1).write_bytes(b"new")
    dam.resources[1]["file_modified"] = "2031-01-01 00:00:00"
    with pytest.raises(StoreFailed, match="replaced"):
        await collect(reader.read())
    await reader.close()
    assert (await store.stat(KEY)).etag != before.etag


@pytest_twisted.ensureDeferred
async def test_a_list_passes_over_nothing_while_others_delete(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    for number in range(450):
        dam.add("originalfilename", f"{number}.jpg", b"x", "jpg", user="specify")
    store, seen = make_store(dam.url), set()
    async for key in store.list("", Kind.ORIGINAL):
        seen.add(key.name)
        if key.name == "150.jpg":
            for ref in range(1, 120):
                dam.resources[ref]["archive"] = DELETED
    assert seen == {f"{number}.jpg" for number in range(450)}


@pytest_twisted.ensureDeferred
async def test_thumbnails_are_not_kept_in_a_dam(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url)
    with pytest.raises(StoreUnavailable, match=r"\[thumbnails\] store"):
        await store.write(AssetKey("", Kind.THUMBNAIL, "a_1.jpg"), chunked(b"x"))
    assert dam.resources == {}


@pytest_twisted.ensureDeferred
async def test_a_full_disk_leaves_what_was_there(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url)
    await store.write(KEY, chunked(b"old"))
    dam.is_full = True
    with pytest.raises(StoreUnavailable, match="such as a full disk"):
        await store.write(KEY, chunked(b"new"))
    assert await read_asset(store, KEY) == b"old"
    assert dam.active() == [1]


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_too_large_is_said_to_be(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url)
    for dam.most, dam.most_of_form, setting in ((1000, 10_000, "upload_max_filesize"), (10_000, 1000, "post_max_size")):
        with pytest.raises(NoSpace, match=setting):
            await store.write(KEY, chunked(b"x" * 2000), 2000)
    await until_there(dam, [])
