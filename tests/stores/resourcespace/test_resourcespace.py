"""The ResourceSpace store keeps every promise, on a server that behaves as ResourceSpace does."""

from collections.abc import Awaitable, Callable

import pytest

from tests.stores.resourcespace.conftest import MakeStore
from tests.support.ports import free_port
from tests.support.resourcespace import FakeResourceSpace
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import Kind
from was_daemon.testing.contract import StoreContract
from was_daemon.testing.contract.base import ContractBase
from was_daemon.testing.contract.deleting import Deleting


class Fixtures(ContractBase):
    """A store where searches tell the field with our names, and files have addresses of the download page."""

    kinds = (Kind.ORIGINAL, Kind.TRASH)
    many = 100
    timeout = 15.0

    @pytest.fixture
    def store(self, dam: FakeResourceSpace, make_store: MakeStore) -> IAssetStore:
        return make_store(dam.url)

    @pytest.fixture
    def restart(self, dam: FakeResourceSpace) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            dam.stop()
            dam.start()

        return restart

    @pytest.fixture
    def down(self, make_store: MakeStore) -> IAssetStore:
        return make_store(f"http://127.0.0.1:{free_port()}")


class TestBasics(Fixtures, Deleting):
    """A part of the contract, which takes a second."""


@pytest.mark.slow
class TestResourceSpace(Fixtures, StoreContract):
    """The contract."""


@pytest.mark.slow
class TestOtherwiseConfigured(TestResourceSpace):
    """The contract, where ResourceSpace tells less, shows its filestore, and deletes for ever; with a field of ours."""

    @pytest.fixture
    def store(self, dam: FakeResourceSpace, make_store: MakeStore) -> IAssetStore:
        dam.joined, dam.hides_paths = ["catalognumber"], False
        return make_store(dam.url, name_field="catalognumber", purge=True, extract_metadata=False)
