"""The asset-server store in front of the official server and of the California Academy's."""

import io
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from storage_plugins.asset_server import asset_server
from tests.stores.asset_server.conftest import MakeStore
from tests.support.bottled import AcademyServer, BottledServer
from tests.support.slow import slow_but
from was_daemon.config.plugins import find_plugins
from was_daemon.model.errors import (
    AssetExists,
    AssetNotFound,
    BrokenImage,
    CannotList,
    NoThumbnail,
    StoreFailed,
    StoreUnavailable,
    VersionGone,
)
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin, IRedirects, IThumbnails, IUnlisted
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.contract import LEGAL_NAMES, original
from was_daemon.testing.live import check_live
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset, read_reader

NAME = original("sp6123.att.jpg")
LARGE = payload(3_000_000)


def picture(size: tuple[int, int] = (90, 60), kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind)
    return out.getvalue()


def test_the_plugin_is_found_by_the_name_that_the_configuration_has() -> None:
    assert find_plugins()["asset-server"] is asset_server
    verifyObject(IAssetStorePlugin, asset_server)


@pytest_twisted.ensureDeferred
async def test_what_is_written_is_read_and_deleted(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    for interface in (IAssetStore, IRedirects, IThumbnails, IUnlisted):
        verifyObject(interface, store)
    await store.check()
    for content in (LARGE, b"", b"small"):
        stat = await store.write(NAME, chunked(content), len(content))
        assert await store.stat(NAME) == stat
        assert (await read_asset(store, NAME), await read_asset(store, NAME, 2, 9)) == (content, content[2:9])
    assert (official.root / "originals" / NAME.name).read_bytes() == b"small"
    assert abs(stat.modified - time.time()) < 60
    await store.delete(NAME)
    for call in (store.stat, store.open, store.delete):
        with pytest.raises(AssetNotFound):
            await call(NAME)


@pytest.mark.parametrize("needs_key", slow_but([True], [False, True]))
@pytest_twisted.ensureDeferred
async def test_every_legal_name_is_kept_also_where_the_server_mistakes_it(
    official: BottledServer, make_store: MakeStore, needs_key: bool
) -> None:
    official.needs_key = needs_key
    store = make_store(official)
    for name in [*LEGAL_NAMES, "a;b=c.jpg", "data:,x.jpg", "100%41.jpg", 'quoted".jpg']:
        await store.write(original(name), chunked(name.encode()), len(name.encode()))
        assert (official.root / "originals" / name).read_bytes() == name.encode()
        assert await read_asset(store, original(name)) == name.encode(), name
        await store.delete(original(name))
        assert not (official.root / "originals" / name).exists()


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_kept_compressed_is_read_as_it_is(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    for name in ("specimens.csv.gz", "specimens.svgz"):
        await store.write(original(name), chunked(b"\x1f\x8bno matter"), 11)
        assert await read_asset(store, original(name)) == b"\x1f\x8bno matter"


@pytest_twisted.ensureDeferred
async def test_no_request_is_sent_on_a_connection_that_http_1_0_has_ended(
    official: BottledServer, make_store: MakeStore, logged: Callable[[], str]
) -> None:
    store = make_store(official)
    for number in range(5):
        key = original(f"{number}.jpg")
        await store.write(key, chunked(b"content"), 7)
        assert await read_asset(store, key) == b"content"
        await store.delete(key)
    assert "failed" not in logged()


@pytest_twisted.ensureDeferred
async def test_an_upload_that_breaks_off_leaves_what_there_was(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    await store.write(NAME, chunked(b"old"), 3)

    async def breaks_off() -> AsyncIterator[bytes]:
        yield LARGE
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await store.write(NAME, breaks_off(), 2 * len(LARGE))
    with pytest.raises((StoreUnavailable, StoreFailed)):
        await store.write(original("new.jpg"), chunked(LARGE), len(LARGE) + 1)
    assert await read_asset(store, NAME) == b"old"
    assert [path.name for path in (official.root / "originals").iterdir()] == [NAME.name]


@pytest_twisted.ensureDeferred
async def test_tokens_follow_the_servers_clock_and_are_made_at_the_end_of_an_upload(
    official: BottledServer, make_store: MakeStore
) -> None:
    official.ahead, official.needs_key = 86_400, True
    store = make_store(official)

    async def slow() -> AsyncIterator[bytes]:
        yield LARGE
        # So much time passes that a token which was made before is too old.
        official.ahead += 1000
        await store.check()
        yield b"end"

    await store.write(NAME, slow(), len(LARGE) + 3)
    assert await read_asset(store, NAME) == LARGE + b"end"
    official.ahead -= 90_000
    assert await read_asset(store, NAME) == LARGE + b"end"


@pytest_twisted.ensureDeferred
async def test_a_reader_of_a_file_that_is_written_over_in_place_fails(
    official: BottledServer, make_store: MakeStore
) -> None:
    store = make_store(official)
    await store.write(NAME, chunked(LARGE), len(LARGE))
    path = official.root / "originals" / NAME.name
    os.utime(path, (1e9, 1e9))
    reader = await store.open(NAME)
    got = b""
    with pytest.raises(VersionGone):
        async with aclosing(reader.read()) as chunks:
            async for chunk in chunks:
                got += chunk
                if len(got) == len(chunk):
                    with path.open("r+b") as file:
                        file.write(bytes(len(LARGE)))
    assert len(got) < len(LARGE)
    await reader.close()
    path.unlink()
    with pytest.raises(AssetNotFound):
        await store.open(NAME)


@pytest_twisted.ensureDeferred
async def test_a_version_of_the_same_second_and_size_is_another(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    first = await store.write(NAME, chunked(b"first"), 5)
    second = await store.write(NAME, chunked(b"other"), 5)
    assert first.etag != second.etag
    assert await read_reader(await store.open(NAME)) == b"other"


@pytest_twisted.ensureDeferred
async def test_readers_wait_while_the_server_saves_a_file(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    await store.write(NAME, chunked(b"old"), 3)
    reading = []

    def half_done() -> None:
        path = official.root / "originals" / NAME.name
        path.write_bytes(b"half")
        reading.append(time.monotonic())
        time.sleep(0.2)

    official.uploading = half_done
    writing = deferred(store.write(NAME, chunked(b"whole"), 5))
    while not reading:
        await deferToThread(time.sleep, 0.01)
    assert await read_asset(store, NAME) == b"whole"
    await writing


@pytest_twisted.ensureDeferred
async def test_collections_have_the_names_that_the_server_knows(official: BottledServer, make_store: MakeStore) -> None:
    official.collections = {"KUFishvoucher": "Ichthyology", "Botany": "plants"}
    store = make_store(official, collections={"Ichthyology": "KUFishvoucher"})
    await store.check()
    for directory, there in {"Ichthyology": "Ichthyology", "Botany": "plants"}.items():
        key = original("a.jpg", directory)
        await store.write(key, chunked(b"fish"), 4)
        assert (official.root / there / "originals" / "a.jpg").read_bytes() == b"fish"
        await store.delete(key)
    only = make_store(official, collection="Botany")
    await only.write(NAME, chunked(b"plant"), 5)
    assert (official.root / "plants" / "originals" / NAME.name).exists()


@pytest_twisted.ensureDeferred
async def test_an_unknown_collection_is_no_missing_file(official: BottledServer, make_store: MakeStore) -> None:
    official.collections = {"Botany": "plants"}
    store, key = make_store(official), original("a.jpg", "Fish")
    for call in (store.stat, store.open, store.delete):
        with pytest.raises(StoreUnavailable, match='no collection called "Fish"'):
            await call(key)
    with pytest.raises(StoreUnavailable, match="no such collection"):
        await store.write(key, chunked(b"fish"), 4)
    with pytest.raises(StoreUnavailable, match='"Zoology"'):
        await make_store(official, collection="Zoology").check()
    with pytest.raises(AssetNotFound):
        await store.stat(original("a.jpg", "Botany"))
    with pytest.raises(StoreUnavailable, match="by the setting collection"):
        await store.stat(NAME)


@pytest_twisted.ensureDeferred
async def test_a_wrong_or_missing_key_is_told_and_nothing_is_written(
    official: BottledServer, make_store: MakeStore
) -> None:
    (official.root / "originals").mkdir(parents=True)
    (official.root / "originals" / NAME.name).write_bytes(b"there")
    wrong, none = make_store(official, key="another"), make_store(official, key=None)
    with pytest.raises(StoreUnavailable, match="another key"):
        await wrong.check()
    with pytest.raises(StoreUnavailable, match="set key_file"):
        await none.check()
    await make_store(official, key=None, read_only=True).check()
    for store in (wrong, none):
        assert await read_asset(store, NAME) == b"there"
        with pytest.raises(StoreUnavailable, match="refuses the token"):
            await store.write(NAME, chunked(b"new"), 3)
        with pytest.raises(StoreUnavailable, match="refuses the token"):
            await store.delete(NAME)
    official.key = None
    await none.check()
    await none.write(NAME, chunked(b"new"), 3)
    assert await read_asset(none, NAME) == b"new"


@pytest_twisted.ensureDeferred
async def test_a_store_that_is_only_read_writes_nothing(official: BottledServer, make_store: MakeStore) -> None:
    await make_store(official).write(NAME, chunked(b"kept"), 4)
    store = make_store(official, read_only=True)
    for change in (store.write(NAME, chunked(b"new"), 3), store.delete(NAME)):
        with pytest.raises(StoreUnavailable, match="read_only"):
            await change
    assert await read_asset(store, NAME) == b"kept"


@pytest_twisted.ensureDeferred
async def test_originals_are_not_listed_and_other_kinds_are_not_kept(
    official: BottledServer, make_store: MakeStore
) -> None:
    store = make_store(official)
    with pytest.raises(CannotList):
        await collect(store.list("", Kind.ORIGINAL))
    for kind in (Kind.THUMBNAIL, Kind.PYRAMID, Kind.TRASH):
        key = AssetKey("", kind, NAME.name)
        assert await collect(store.list("", kind)) == []
        with pytest.raises(AssetNotFound):
            await store.stat(key)
        with pytest.raises(StoreUnavailable, match="originals only"):
            await store.write(key, chunked(b"x"), 1)
    assert official.requests == []


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_the_check_of_a_store_in_use_finds_nothing_and_leaves_nothing(
    official: BottledServer, make_store: MakeStore
) -> None:
    results = await collect(check_live(make_store(official), ""))
    assert [each for each in results if each.problem or not (each.tried or each.remark)] == []
    assert list((official.root / "originals").iterdir()) == []


# -- thumbnails --------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_server_makes_the_thumbnails(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    await store.write(NAME, chunked(picture()), len(picture()))
    assert IThumbnails.providedBy(store)
    reader, media_type = await store.thumbnail(NAME, 30)
    with Image.open(io.BytesIO(await read_reader(reader))) as thumbnail:
        assert (thumbnail.size, media_type) == ((30, 20), "image/jpeg")
    with pytest.raises(AssetNotFound):
        await store.thumbnail(original("none.jpg"), 30)
    await store.write(original("a.txt"), chunked(b"text"), 4)
    with pytest.raises(NoThumbnail):
        await store.thumbnail(original("a.txt"), 30)


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_of_a_replaced_file_is_not_shown(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    assert IThumbnails.providedBy(store)
    await store.write(NAME, chunked(picture()), len(picture()))
    await store.thumbnail(NAME, 30)
    os.utime(official.root / "thumbnails" / "sp6123.att_30.jpg", (1e9, 1e9))
    reader, _ = await store.thumbnail(NAME, 30)
    with Image.open(io.BytesIO(await read_reader(reader))) as thumbnail:
        assert thumbnail.size[0] == 29
    for scale in range(22, 31):
        (official.root / "thumbnails" / f"sp6123.att_{scale}.jpg").write_bytes(b"old")
        os.utime(official.root / "thumbnails" / f"sp6123.att_{scale}.jpg", (1e9, 1e9))
    with pytest.raises(StoreFailed, match="another version"):
        await store.thumbnail(NAME, 30)


@pytest_twisted.ensureDeferred
async def test_a_thumbnail_that_is_cut_short_is_not_shown(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official)
    assert IThumbnails.providedBy(store)
    (official.root / "thumbnails").mkdir(parents=True)
    for name, kind in {"a.jpg": "JPEG", "b.png": "PNG", "c.gif": "GIF"}.items():
        content = picture(kind=kind)
        await store.write(original(name), chunked(content), len(content))
        for size in (len(content) - 5, 0):
            (official.root / "thumbnails" / f"{name[0]}_50{name[1:]}").write_bytes(content[:size])
            with pytest.raises(StoreFailed, match="incomplete"):
                await store.thumbnail(original(name), 50)
    pages = io.BytesIO()
    Image.new("1", (9, 9)).save(pages, "TIFF", save_all=True, append_images=[Image.new("1", (9, 9))])
    await store.write(original("pages.tif"), chunked(pages.getvalue()))
    with pytest.raises(BrokenImage):
        await store.thumbnail(original("pages.tif"), 50)


# -- redirects ---------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_clients_are_sent_to_the_server_without_a_token(official: BottledServer, make_store: MakeStore) -> None:
    store = make_store(official, public_url="https://old.example.org/web_asset_store.xml")
    assert IRedirects.providedBy(store)
    await store.write(NAME, chunked(b"content"), 7)
    url = await store.url(NAME, "image/jpeg", "Käfer 1.jpg")
    assert url == ("https://old.example.org/fileget?filename=sp6123.att.jpg&coll=&type=O&downloadname=K%C3%A4fer+1.jpg")
    with pytest.raises(AssetNotFound):
        await store.url(original("none.jpg"), "image/jpeg", None)
    official.needs_key = True
    with pytest.raises(StoreUnavailable, match="leave out redirect"):
        await store.url(NAME, "image/jpeg", None)


# -- the California Academy's server -----------------------------------------------------------------------------------


@pytest.mark.parametrize("in_s3", slow_but([True], [False, True]))
@pytest_twisted.ensureDeferred
async def test_the_academys_server_keeps_and_deletes_but_never_replaces(
    academy: AcademyServer, make_store: MakeStore, in_s3: bool
) -> None:
    academy.in_s3 = in_s3
    academy.collections = {"Botany": "botany"}
    store, key = make_store(academy), original("0a1b2c3d.jpg", "Botany")
    await store.check()
    stat = await store.write(key, chunked(LARGE), len(LARGE))
    assert (academy.root / "botany/originals/0a/1b/0a1b2c3d.jpg").read_bytes() == LARGE
    assert await store.stat(key) == stat
    assert (await read_asset(store, key), await read_asset(store, key, 5, 50)) == (LARGE, LARGE[5:50])
    with pytest.raises(AssetExists):
        await store.write(key, chunked(b"new"), 3)
    with pytest.raises(StoreFailed, match="refuses this name"):
        await store.write(original("a.jpg", "Botany"), chunked(b"new"), 3)
    academy.redacted = {key.name}
    assert await read_asset(store, key) == LARGE
    with pytest.raises(StoreUnavailable):
        await make_store(academy, key=None).stat(key)
    await store.delete(key)
    with pytest.raises(AssetNotFound):
        await store.delete(key)
