"""The S3 store keeps every promise on real servers."""

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IResolverSimple
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from zope.interface import implementer
from zope.interface.verify import verifyObject

from storage_plugins.s3 import S3Store, s3
from tests.support import images, s3servers
from tests.support.client import Client
from tests.support.daemon import KEY as ATTACHMENT_KEY
from tests.support.daemon import Daemon
from tests.support.davservers import DavServer
from tests.support.http_contract import HTTPContract
from tests.support.ports import free_port
from tests.support.remotes import Relay
from tests.support.s3servers import ACCESS_KEY, BUCKET, SECRET_KEY, Ceph, MakeS3Store, make_bucket
from tests.support.tls import self_signed
from was_daemon.library.trash.relocation import move
from was_daemon.model.errors import AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin, IRedirects
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.media import content_disposition
from was_daemon.stores import instances
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.s3 import options as s3_options
from was_daemon.stores.s3.bucket import Bucket, ObjectUrls
from was_daemon.stores.s3.integrity import Payload
from was_daemon.stores.s3.listing import document, objects
from was_daemon.stores.s3.options import Addressing, S3Options
from was_daemon.testing.contract import LEGAL_NAMES, StoreContract, original
from was_daemon.testing.streams import chunked, collect, payload, read_asset

pytest_plugins = ["tests.support.s3stores"]

PREFIX = "attachments/"
KEY = original("asset.jpg")
LARGE = payload(12_000_000)
"""More than two parts."""


@pytest.fixture(scope="module")
def moto() -> Iterator[DavServer]:
    server = s3servers.moto().start()
    yield server
    server.remove()


class Damaging(Relay):
    """Changes a letter among many."""

    def passed(self, data: bytes) -> bytes:
        return data.replace(b"A" * 1000, b"A" * 999 + b"B", 1)


class S3Contract(StoreContract):
    """The contract, at the URL of the subclass."""

    timeout = 10.0
    checksums: bool | None = None

    @pytest_twisted.async_yield_fixture
    async def store(self, url: str, make_s3_store: MakeS3Store) -> AsyncIterator[IAssetStore]:
        await make_bucket(url)
        yield make_s3_store(url, checksums=self.checksums)

    @pytest.fixture
    def down(self, make_s3_store: MakeS3Store) -> IAssetStore:
        return make_s3_store(f"http://127.0.0.1:{free_port()}")

    @pytest.mark.parametrize("content", [b"A" * 100_000, b"A" * len(LARGE)])
    @pytest_twisted.ensureDeferred
    async def test_what_is_damaged_on_its_way_is_an_error_in_both_directions(
        self, url: str, store: S3Store, make_s3_store: MakeS3Store, content: bytes
    ) -> None:
        relay = Damaging(urlsplit(url).port or 0)
        try:
            damaged = make_s3_store(f"http://127.0.0.1:{relay.port}", prefix=store._options.prefix)
            with pytest.raises(StoreFailed):
                await damaged.write(KEY, chunked(content), len(content))
            if len(content) > store._options.part_size:
                with pytest.raises(AssetNotFound):
                    await store.stat(KEY)
            await store.write(KEY, chunked(content), len(content))
            with pytest.raises(StoreFailed):
                await read_asset(damaged, KEY)
        finally:
            relay.close()

    @pytest_twisted.ensureDeferred
    async def test_an_object_in_parts_is_read_when_it_was_moved_and_when_it_is_back(self, store: S3Store) -> None:
        trashed = AssetKey("", Kind.TRASH, "0.file")
        await store.write(KEY, chunked(LARGE), len(LARGE))
        await move(store, KEY, trashed)
        assert await read_asset(store, trashed) == LARGE
        await move(store, trashed, KEY)
        assert await read_asset(store, KEY) == LARGE
        assert (await store.stat(KEY)).size == len(LARGE)


@pytest.fixture
def relay(moto: DavServer) -> Iterator[Relay]:
    relay = Relay(moto.port)
    yield relay
    relay.close()


class MotoContract(S3Contract):
    """The contract on moto, which lists twenty names a page."""

    many = 60

    @pytest.fixture
    def url(self, relay: Relay) -> str:
        return f"http://127.0.0.1:{relay.port}"

    @pytest.fixture
    def restart(self, moto: DavServer, relay: Relay) -> Iterator[Callable[[], Awaitable[None]]]:
        """moto forgets everything when it ends: only its connections do here."""
        others: list[Relay] = []

        async def restart() -> None:
            relay.close()
            await deferLater(reactor, 0.1)
            others.append(Relay(moto.port, relay.port))

        yield restart
        for other in others:
            other.close()


class TestMoto(MotoContract):
    """What does not take long."""

    test_a_big_asset_streams_through_without_being_held = None
    test_two_hundred_readers_that_stop_early_leave_nothing_open = None
    test_what_was_written_in_odd_chunks_comes_back_whole = None


@pytest.mark.slow
@pytest.mark.slow
class TestMotoAtLength(MotoContract):
    """All of it, and with checksums of the server's."""

    checksums = True


@pytest.mark.slow
class TestS3rver(S3Contract):
    many = 200

    legal_names = tuple(name for name in LEGAL_NAMES if len(name.encode()) < 200)
    """Shorter names: s3rver appends to a name, and crashes when the file name becomes too long."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[DavServer]:
        server = s3servers.s3rver().start()
        yield server
        server.remove()

    @pytest.fixture
    def url(self, server: DavServer) -> str:
        return server.url

    @pytest.fixture
    def restart(self, server: DavServer) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            server.kill()
            server.start()

        return restart


@pytest.mark.slow
class TestCeph(S3Contract):
    many = 1_100  # more than a page

    @pytest.fixture(scope="class")
    @classmethod
    def ceph(cls) -> Iterator[Ceph]:
        ceph = Ceph()
        try:
            yield ceph.start()
        finally:
            ceph.remove()

    @pytest.fixture
    def url(self, ceph: Ceph) -> str:
        return ceph.url

    @pytest.fixture
    def restart(self, ceph: Ceph) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            ceph.cut()
            ceph.open()

        return restart


@pytest_twisted.async_yield_fixture
async def url(moto: DavServer) -> AsyncIterator[str]:
    """moto's, where the bucket is."""
    await make_bucket(moto.url)
    yield moto.url


def put_by_hand(store: S3Store, name: str, content: bytes) -> Awaitable[Answer]:
    """Have an object there that the store knows nothing of."""
    return store._bucket().call("PUT", name, payload=Payload.now(content))


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        (Layout.FLAT, ["botany/originals/", "botany/thumbnails/"]),
        (Layout.SHARDED, ["botany/originals/ab/cd/", "botany/thumbnails/ab/cd/"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_objects_are_named_as_files_so_that_a_bucket_can_be_adopted_and_given_back(
    url: str, make_s3_store: MakeS3Store, layout: Layout, names: list[str]
) -> None:
    store = make_s3_store(url, prefix="attachments/", layout=layout)
    first, second = (AssetKey("botany", Kind.ORIGINAL, name) for name in ("abcd-1.jpg", "abcd-2.jpg"))
    await put_by_hand(store, f"attachments/{names[0]}abcd-1.jpg", b"theirs")
    await put_by_hand(store, f"attachments/{names[0]}elsewhere/abcd-3.jpg", b"no asset")
    await store.write(second, chunked(b"ours"))
    await store.write(second.thumbnail(200), chunked(b"small"))
    assert await read_asset(store, first) == b"theirs"
    assert await collect(store.list("botany", Kind.ORIGINAL)) == [first, second]
    assert await collect(store.list("botany", Kind.ORIGINAL, "abcd-2")) == [second]
    listed = [each.name for each in await collect(objects(store._bucket(), "attachments/botany/", flat=False))]
    assert {f"attachments/{names[0]}abcd-2.jpg", f"attachments/{names[1]}abcd-2_200.jpg"} <= set(listed)


@pytest_twisted.ensureDeferred
async def test_clients_may_be_sent_to_an_address_that_gives_type_and_name(url: str, make_s3_store: MakeS3Store) -> None:
    store = make_s3_store(url)
    name = "K\u00e4fer a+b#%20?.tif"
    for key in (original(name), original(name).thumbnail(100)):
        await store.write(key, chunked(b"bytes"))
        address = await store.url(key, "image/tiff", '../\u00e9 "x"\r\n.tif')
        with await deferToThread(urlopen, address) as answer:
            assert answer.read() == b"bytes"
            assert answer.headers["Content-Type"] == "image/tiff"
            assert answer.headers["Content-Disposition"] == content_disposition('../\u00e9 "x"\r\n.tif')
    with pytest.raises(AssetNotFound):
        await store.url(original("missing.tif"), "image/tiff", None)


@pytest_twisted.ensureDeferred
async def test_a_public_endpoint_is_where_clients_are_sent(url: str, make_s3_store: MakeS3Store) -> None:
    store = make_s3_store(url, public_endpoint="https://s3.example.org")
    await store.write(KEY, chunked(b"bytes"))
    assert (await store.url(KEY, "image/jpeg", None)).startswith("https://s3.example.org/assets/")


@pytest_twisted.ensureDeferred
async def test_a_bucket_may_be_a_host(moto: DavServer, url: str, make_s3_store: MakeS3Store) -> None:
    class Localhost:
        def getHostByName(self, name: str, timeout: object = None) -> Deferred[str]:
            return succeed("127.0.0.1")

    old = reactor.installResolver(implementer(IResolverSimple)(Localhost)())
    try:
        store = make_s3_store(
            f"http://s3.amazonaws.com:{moto.port}", addressing=Addressing.VIRTUAL, prefix="", region="us-east-1"
        )
        await store.write(original("virtual \u00e9.jpg"), chunked(b"bytes"))
        await store.check()
        assert [key.name async for key in store.list("", Kind.ORIGINAL)] == ["virtual \u00e9.jpg"]
    finally:
        reactor.installResolver(old)
    path = make_s3_store(url, prefix="")
    assert await read_asset(path, original("virtual \u00e9.jpg")) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_unfinished_uploads_with_our_mark_go_after_a_day_and_nothing_else(
    url: str, make_s3_store: MakeS3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = uuid4().hex
    other, store = make_s3_store(url, prefix=prefix), make_s3_store(url, prefix=prefix)
    bucket, staging = store._bucket(), f"{prefix}/.was-staging/"
    uploads = {name: await begin(bucket, name) for name in (f"{prefix}/originals/a.jpg", f"{prefix}/b", f"{prefix}x/c")}
    records = other._multipart.records
    ours = [records.name(path) for path in [await records.new_record() for _ in uploads] + [await records.new_object()]]
    for record, (name, upload) in zip(ours, uploads.items(), strict=False):
        await records.write(record.removeprefix(f"{prefix}/"), name, upload)
    await bucket.call("PUT", ours[-1], payload=Payload.now(b"check"))
    # Somebody else's, some of them as much alike as can be.
    begun = [await begin(bucket, name) for name in (f"{prefix}/originals/a.jpg", f"{prefix}/originals/theirs.jpg")]
    name = ours[0].removesuffix(".upload")
    foreign = [f"{staging}notes.txt", f"{name}.jpg", f"{name}x.upload", f"{staging}{'0' * 32}", f"{name}/a.upload"]
    foreign += [f"{prefix}/{name.rpartition('/')[2]}.upload", f"{records.name(await records.new_object())}.upload"]
    for each in foreign:
        await bucket.call("PUT", each, payload=Payload.now(b'"nobody\'s"'))
    await store.check()
    await store.clean()
    await store.close()
    assert await names(bucket, prefix) == {*ours, *foreign}
    monkeypatch.setattr(instances, "STALE_SECONDS", -100)
    store = make_s3_store(url, prefix=prefix)
    bucket = store._bucket()
    await store.check()
    outside = uploads.pop(f"{prefix}x/c")
    kept = {*foreign, ours[2]}
    await eventually_is(lambda: names(bucket, prefix), kept)
    assert await unfinished(bucket, prefix) == {outside, *begun}


async def begin(bucket: Bucket, name: str) -> str:
    """Begin an upload in parts."""
    answer = await bucket.request("POST", name, {"uploads": ""})
    return (await document(answer)).findtext("{*}UploadId") or ""


async def names(bucket: Bucket, prefix: str) -> set[str]:
    """What there is below a prefix."""
    return {each.name async for each in objects(bucket, prefix + "/", flat=False)}


async def unfinished(bucket: Bucket, prefix: str) -> set[str]:
    """The numbers of uploads in parts that were begun."""
    listing = await document(await bucket.request("GET", "", {"uploads": "", "prefix": prefix}))
    return {each.findtext("{*}UploadId") or "" for each in listing.findall("{*}Upload")}


async def eventually_is(look: Callable[[], Awaitable[set[str]]], expected: set[str]) -> None:
    """Wait for what is done in the background."""
    found: set[str] = set()
    for _ in range(1200):
        found = await look()
        if found == expected:
            return
        await deferLater(reactor, 0.05)
    assert found == expected


# -- behind a daemon ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon(moto: DavServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has its login from the environment."""
    table = {"plugin": "s3", "bucket": BUCKET, "endpoint": moto.url, "prefix": PREFIX}
    environ = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    config = {"server": {"max_upload": "8 MiB"}, "stores": {"main": table}}
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), config, environ).start()
    yield daemon
    daemon.stop()


@pytest_twisted.async_yield_fixture
async def client(moto: DavServer, daemon: Daemon) -> AsyncIterator[Client]:
    await make_bucket(moto.url)
    yield Client(daemon.url, ATTACHMENT_KEY)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_certificates_are_checked(make_s3_store: MakeS3Store, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    server = s3servers.moto(certificate=certificate).start()
    try:
        trusted = make_s3_store(server.url, ca_file=certificate)
        await trusted._bucket().call("PUT", "", accept=(200, 409))
        await trusted.check()
        with pytest.raises(StoreUnavailable, match="trusted"):
            await make_s3_store(server.url).check()
        with pytest.raises(StoreUnavailable, match="certificate"):
            await make_s3_store(server.url, ca_file=tmp_path / "missing").check()
    finally:
        server.remove()


@pytest.mark.slow
class TestDaemon(HTTPContract):
    """All of the HTTP contract."""


@pytest_twisted.ensureDeferred
async def test_what_clients_upload_lies_in_the_bucket_as_files_would(
    moto: DavServer, client: Client, make_s3_store: MakeS3Store
) -> None:
    root = "K\u00e4fer a+b#%20 \u00e9 ?"
    content = images.encode(images.chart(), "TIFF")
    store = make_s3_store(moto.url, prefix="")

    async def names() -> list[str]:
        return [each.name async for each in objects(store._bucket(), PREFIX, flat=False) if root in each.name]

    await client.store(f"{root}.tif", content)
    assert (await client.thumbnail(f"{root}.tif", 60)).status == 200
    assert (await client.original(f"{root}.tif")).body == content
    assert (await client.original(f"{root}.tif", headers={"Range": "bytes=5-9"})).body == content[5:10]
    assert await names() == [f"{PREFIX}originals/{root}.tif", f"{PREFIX}thumbnails/{root}_60.png"]
    assert (await client.delete(f"{root}.tif")).body == b"Ok."
    assert await names() == []


# -- settings ----------------------------------------------------------------------------------------------------------


def test_the_plugin_provides_its_interface() -> None:
    verifyObject(IAssetStorePlugin, s3)
    store = s3.create(S3Options(bucket="assets"))
    verifyObject(IAssetStore, store)
    verifyObject(IRedirects, store)
    assert str(store) == "objects in the bucket assets at https://s3.us-east-1.amazonaws.com"
    store = s3.create(S3Options(bucket="assets", prefix="/a/b"))
    assert str(store) == "objects below a/b/ in the bucket assets at https://s3.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"bucket": "a/b"}, "bucket"),
        ({"endpoint": "s3.example.org"}, "endpoint: an http"),
        ({"endpoint": "https://u:p@s3.example.org"}, "settings of its own"),
        ({"public_endpoint": "ftp://s3.example.org"}, "public_endpoint: an http"),
        ({"prefix": "a/../b"}, "prefix"),
        ({"prefix": "a//b"}, "prefix"),
        ({"access_key_id": "id"}, "secret_access_key"),
        ({"secret_access_key": "s"}, "access_key_id"),
        ({"access_key_id": "i", "secret_access_key": "s", "secret_access_key_file": Path("s")}, "either"),
        ({"access_key_id": "i", "secret_access_key": "s", "profile": "p"}, "without profile"),
        ({"session_token": "t"}, "session_token"),
        ({"bucket": "with.dots", "addressing": Addressing.VIRTUAL}, "certificate"),
        ({"part_size": 1 << 20}, "part_size"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        S3Options(**({"bucket": "assets"} | settings))


def test_settings_do_not_show_the_secrets() -> None:
    assert "sesame" not in repr(
        S3Options(bucket="assets", access_key_id="i", secret_access_key="sesame", session_token="sesame")
    )


def test_without_botocore_the_configuration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_options, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"pip install .*was-daemon\[s3\]"):
        S3Options(bucket="assets")


@pytest.mark.slow
def test_botocore_is_imported_when_a_store_is_used_and_not_before() -> None:
    code = "import sys, storage_plugins.s3; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "https://assets.s3.us-east-1.amazonaws.com/a%20%2B~%C3%A9%25/b?uploads="),
        ({"region": "eu-west-1"}, "https://assets.s3.eu-west-1.amazonaws.com/a%20%2B~%C3%A9%25/b?uploads="),
        ({"bucket": "with.dots"}, "https://s3.us-east-1.amazonaws.com/with.dots/a%20%2B~%C3%A9%25/b?uploads="),
        ({"endpoint": "https://s3.example.org/x/"}, "https://s3.example.org/x/assets/a%20%2B~%C3%A9%25/b?uploads="),
        (
            {"endpoint": "https://example.org", "addressing": Addressing.VIRTUAL},
            "https://assets.example.org/a%20%2B~%C3%A9%25/b?uploads=",
        ),
    ],
)
def test_addresses_are_encoded_once(settings: dict[str, object], address: str) -> None:
    options = S3Options(**({"bucket": "assets"} | settings))
    assert ObjectUrls(options.address, options.bucket, options.virtual).of("a +~\u00e9%/b", {"uploads": ""}) == address
