"""Fixtures for the tests of the ResourceSpace store."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from storage_plugins.resourcespace import ResourceSpaceStore
from tests.support.resourcespace import FakeResourceSpace, key_of
from was_daemon.config.secret_files import SecretFile
from was_daemon.stores.resourcespace.options import ResourceSpaceOptions

MakeStore = Callable[..., ResourceSpaceStore]


@pytest.fixture
def dam(tmp_path: Path) -> Iterator[FakeResourceSpace]:
    """A ResourceSpace without resources."""
    directory = tmp_path / "dam"
    directory.mkdir()
    dam = FakeResourceSpace(directory).start()
    yield dam
    dam.stop()


@pytest_twisted.async_yield_fixture
async def make_store(tmp_path: Path) -> AsyncIterator[MakeStore]:
    """Makes stores of a URL and other options; they are closed with the test."""
    key_file = SecretFile(tmp_path / "key")
    key_file.write_text(key_of("specify") + "\n")
    stores: list[ResourceSpaceStore] = []

    def make(url: str, **options: Any) -> ResourceSpaceStore:
        settings = {"user": "specify", "key_file": key_file, "allow_http": True, "timeout": 10.0} | options
        stores.append(ResourceSpaceStore(ResourceSpaceOptions(url=url, **settings)))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()
