"""Fixtures for the tests of the WebDAV store: `pytest_plugins = ["tests.support.davstores"]`."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_twisted

from storage_plugins.webdav import WebDAVOptions, webdav
from tests.support.davservers import DavServer, MakeStore, Serve
from was_daemon.model.interfaces import IAssetStore


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that end with the test."""
    servers: list[DavServer] = []

    def start(server: DavServer) -> DavServer:
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.remove()


@pytest_twisted.async_yield_fixture
async def make_store() -> AsyncIterator[MakeStore]:
    """Makes stores of a URL and other options; they are closed with the test."""
    stores: list[IAssetStore] = []

    def make(url: str, **options: object) -> IAssetStore:
        stores.append(webdav.create(WebDAVOptions(url=url, **({"timeout": 30.0} | options))))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()
