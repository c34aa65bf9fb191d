"""A daemon that keeps everything in a bucket: moto, by way of HTTP."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_twisted

from tests import images, s3servers
from tests.client import Client
from tests.daemon import KEY, Daemon
from tests.davservers import DavServer
from tests.http_contract import HTTPContract
from tests.s3servers import ACCESS_KEY, BUCKET, SECRET_KEY, MakeS3Store, make_bucket
from was_daemon.stores.s3_listing import objects

pytest_plugins = ["tests.s3stores"]

PREFIX = "attachments/"


@pytest.fixture(scope="module")
def moto() -> Iterator[DavServer]:
    server = s3servers.moto().start()
    yield server
    server.remove()


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
    yield Client(daemon.url, KEY)


@pytest.mark.slow
class TestContract(HTTPContract):
    """All of it."""


@pytest_twisted.ensureDeferred
async def test_what_clients_upload_lies_in_the_bucket_as_files_would(
    moto: DavServer, client: Client, make_s3_store: MakeS3Store
) -> None:
    root = "K\u00e4fer a+b#%20 \u00e9 ?"
    content = images.encode(images.chart(), "TIFF")
    store = make_s3_store(moto.url, prefix="")

    async def names() -> list[str]:
        return [name async for name in objects(store._bucket(), PREFIX, flat=False) if root in name]

    await client.store(f"{root}.tif", content)
    assert (await client.thumbnail(f"{root}.tif", 60)).status == 200
    assert (await client.original(f"{root}.tif")).body == content
    assert (await client.original(f"{root}.tif", headers={"Range": "bytes=5-9"})).body == content[5:10]
    assert await names() == [f"{PREFIX}originals/{root}.tif", f"{PREFIX}thumbnails/{root}_60.png"]
    assert (await client.delete(f"{root}.tif")).body == b"Ok."
    assert await names() == []
