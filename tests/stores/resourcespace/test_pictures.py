"""ResourceSpace's previews serve as thumbnails, its addresses as redirects, and its settings are looked at."""

import io
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_twisted
import treq
from PIL import Image
from zope.interface.verify import verifyObject

from storage_plugins.resourcespace import resourcespace
from tests.conftest import RunDaemon
from tests.stores.resourcespace.conftest import MakeStore
from tests.support import images
from tests.support.client import Client
from tests.support.daemon import KEY as ATTACHMENT_KEY
from tests.support.resourcespace import FakeResourceSpace, key_of
from was_daemon.model.errors import AssetNotFound, NoThumbnail
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin, IPreviews, IQuirks, IRedirects, ISizes
from was_daemon.stores.resourcespace.previews import MissingPreviews, Preview, best
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, read_reader

KEY = original("3f2504e0-4f89-41d3-9a0c-0305e82c3301.jpg")
PICTURE = images.photograph((1600, 1200))


def test_the_plugin_and_its_store_provide_their_interfaces(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    verifyObject(IAssetStorePlugin, resourcespace)
    for interface in (IAssetStore, IPreviews, IQuirks, IRedirects, ISizes):
        verifyObject(interface, make_store(dam.url))


@pytest.mark.parametrize(
    ("scale", "chosen"),
    [(123, None), (150, "col"), (200, "thm"), (399, "thm"), (512, None), (900, "pre"), (4096, None)],
)
def test_the_largest_preview_that_fits_is_chosen_unless_it_is_much_smaller(scale: int, chosen: str | None) -> None:
    previews = [Preview(code, side, side // 2, "") for code, side in (("thm", 200), ("col", 140), ("pre", 900))]
    found = best(previews, scale)
    assert (found.code if found else None) == chosen


@pytest_twisted.ensureDeferred
async def test_a_preview_is_a_thumbnail_of_one_version(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url)
    with pytest.raises(AssetNotFound):
        await store.thumbnail(KEY, 200)
    etags = set()
    for quality in (80, 90):
        picture = images.encode(images.chart((1600, 1200)), "JPEG", quality=quality)
        await store.write(KEY, chunked(picture))
        reader, kind = await store.thumbnail(KEY, 200)
        content = await read_reader(reader)
        assert len(content) == reader.stat.size
        etags.add(reader.stat.etag)
        with Image.open(io.BytesIO(content)) as image:
            assert (kind, image.format, image.size) == ("image/jpeg", "JPEG", (200, 150))
    assert len(etags) == 2
    for scale in (64, 600):
        with pytest.raises(NoThumbnail):
            await store.thumbnail(KEY, scale)
    await store.write(original("a.txt"), chunked(b"no picture"))
    with pytest.raises(NoThumbnail):
        await store.thumbnail(original("a.txt"), 200)


@pytest_twisted.ensureDeferred
async def test_a_size_that_is_missing_is_not_asked_for_again_at_once(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    store = make_store(dam.url)
    await store.write(KEY, chunked(PICTURE))
    for _ in range(3):
        with pytest.raises(NoThumbnail):
            await store.thumbnail(KEY, 123)
    assert [function for function, _arguments in dam.calls].count("get_resource_all_image_sizes") == 1
    await (await store.thumbnail(KEY, 200))[0].close()


def test_a_missing_preview_is_looked_for_again_after_some_minutes() -> None:
    now = 0.0
    missing = MissingPreviews(lambda: now)
    missing.add("a", 123)
    assert missing.has("a", 123)
    assert not missing.has("b", 123)
    now = 301.0
    assert not missing.has("a", 123)


@pytest.mark.parametrize("hides_paths", [True, False])
@pytest_twisted.ensureDeferred
async def test_the_address_of_a_file_answers_whoever_has_it(
    dam: FakeResourceSpace, make_store: MakeStore, hides_paths: bool
) -> None:
    dam.hides_paths = hides_paths
    store = make_store(dam.url)
    await store.write(KEY, chunked(PICTURE))
    address = await store.url(KEY, "image/jpeg", "name.jpg")
    assert urlsplit(address).path.startswith("/pages/" if hides_paths else "/filestore/")
    answer = await treq.get(address, persistent=False)
    assert await answer.content() == PICTURE
    with pytest.raises(AssetNotFound):
        await store.url(original("none.jpg"), "image/jpeg", None)


@pytest_twisted.ensureDeferred
async def test_settings_of_resourcespace_that_cost_something_are_told(
    dam: FakeResourceSpace, make_store: MakeStore
) -> None:
    store = make_store(dam.url)
    assert await store.quirks() == []
    dam.joined, dam.hides_paths = [], False
    joins, addresses = await store.quirks()
    assert "$data_joins" in joins
    assert "purge = true" in addresses
    assert len(await make_store(dam.url, purge=True).quirks()) == 1
    dam.joined, dam.hides_paths, dam.writes_metadata = ["originalfilename"], True, ("tif",)
    (alters,) = await store.quirks()
    assert "$exiftool_write" in alters
    dam.writes_metadata, dam.told = (), 100
    (cut,) = await store.quirks()
    assert "not all of it" in cut
    dam.told = 200
    (zone,) = await make_store(dam.url, timezone="America/New_York").quirks()
    assert "timezone" in zone
    assert dam.resources == {}, "every trial is removed"


@pytest_twisted.ensureDeferred
async def test_a_check_leaves_nothing_and_writes_only_once(dam: FakeResourceSpace, make_store: MakeStore) -> None:
    store = make_store(dam.url)
    for _ in range(3):
        await store.check()
    calls = [function for function, _arguments in dam.calls]
    assert calls.count("upload_multipart") == 1
    assert dam.resources == {}


@pytest_twisted.ensureDeferred
async def test_the_daemon_makes_the_thumbnails_that_resourcespace_has_not(
    dam: FakeResourceSpace, run_daemon: RunDaemon, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(key_of("specify"))
    key_file.chmod(0o600)
    login = {"url": dam.url, "user": "specify", "key_file": key_file, "allow_http": True}
    config = {
        "stores": {
            "local": {"plugin": "filesystem", "path": tmp_path / "local"},
            "dam": {"plugin": "resourcespace", **login, "redirect": "presigned"},
        },
        "collections": {"store": "dam"},
        "thumbnails": {"store": "local"},
    }
    client, made = Client(run_daemon(config).url, ATTACHMENT_KEY), tmp_path / "local" / "thumbnails"
    await client.store(KEY.name, PICTURE)
    preview = await client.thumbnail(KEY.name, 200)
    assert (preview.status, preview.headers["Content-Type"]) == (200, "image/jpeg")
    assert not made.exists() or not [path for path in made.iterdir() if path.is_file()]
    larger = await client.thumbnail(KEY.name, 600)
    assert larger.image().size == (600, 450)
    assert [path.name for path in made.iterdir() if path.is_file()] == [f"{KEY.name.removesuffix('.jpg')}_600.jpg"]
    address = (await client.get("/getfileref", filename=KEY.name, type="T", scale=200)).text
    assert (await client.get(urlsplit(address).path)).body == preview.body
    redirected = await client.original(KEY.name)
    assert redirected.status == 302
    assert redirected.headers["Location"].startswith(dam.url)
    assert (await client.delete(KEY.name)).status == 200
    assert (await client.thumbnail(KEY.name, 200)).status == 404
