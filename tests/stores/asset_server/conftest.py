"""Asset servers on Bottle, and stores on them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from storage_plugins.asset_server import AssetServerOptions, asset_server
from tests.support.bottled import KEY, AcademyServer, BottledServer
from was_daemon.model.interfaces import IAssetStore

MakeStore = Callable[..., IAssetStore]


@pytest.fixture
def official(tmp_path: Path) -> Iterator[BottledServer]:
    """The official server."""
    with BottledServer(tmp_path / "official").running() as server:
        yield server


@pytest.fixture
def academy(tmp_path: Path) -> Iterator[AcademyServer]:
    """The California Academy's server."""
    server = AcademyServer(tmp_path / "academy")
    with ExitStack() as stack:
        stack.enter_context(server.running())
        yield server


@pytest_twisted.async_yield_fixture
async def make_store() -> AsyncIterator[MakeStore]:
    """Makes stores on servers, with their key unless the options say otherwise; closes them after the test."""
    stores = []

    def make(server: BottledServer | str, **options: Any) -> IAssetStore:
        url = server if isinstance(server, str) else server.url
        stores.append(asset_server.create(AssetServerOptions(**{"url": url, "key": KEY, **options})))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()
