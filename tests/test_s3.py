"""The S3 store keeps every promise on real servers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from storage_plugins.s3 import S3Store, s3
from tests import s3servers
from tests.davservers import DavServer, free_port
from tests.remotes import Relay
from tests.s3servers import Ceph, make_bucket, options
from was_daemon.interfaces import AssetStat, IAssetStore, IAssetStorePlugin, IRedirects
from was_daemon.keys import AssetKey, Kind, Layout
from was_daemon.testing import contract
from was_daemon.testing.contract import StoreContract, original
from was_daemon.testing.streams import chunked, collect, payload, read_asset

KEY = original("asset.jpg")
LARGE = payload(12_000_000)
"""More than two parts."""

Make = Callable[..., S3Store]


@pytest_twisted.async_yield_fixture
async def make() -> AsyncIterator[Make]:
    """Makes stores of a URL and other options; they are closed with the test."""
    stores: list[S3Store] = []

    def make(url: str, **changes: object) -> S3Store:
        stores.append(s3.create(options(url, **changes)))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


class S3Contract(StoreContract):
    """The contract, at the URL of the subclass."""

    timeout = 10.0

    @pytest_twisted.async_yield_fixture
    async def store(self, url: str, make: Make) -> AsyncIterator[IAssetStore]:
        await make_bucket(url)
        yield make(url)

    @pytest.fixture
    def down(self, make: Make) -> IAssetStore:
        return make(f"http://127.0.0.1:{free_port()}")


@pytest.fixture(scope="module")
def moto() -> Iterator[DavServer]:
    server = s3servers.moto().start()
    yield server
    server.remove()


@pytest.fixture
def relay(moto: DavServer) -> Iterator[Relay]:
    relay = Relay(moto.port)
    yield relay
    relay.close()


class TestMoto(S3Contract):
    many = 60  # three pages

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


@pytest.mark.slow
class TestS3rver(S3Contract):
    many = 200

    @pytest.fixture(autouse=True)
    def shorter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """s3rver adds to a name what is a name of a file no more, and dies of it."""
        names = [name for name in contract.LEGAL_NAMES if len(name.encode()) < 200]
        monkeypatch.setattr(contract, "LEGAL_NAMES", names)

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
