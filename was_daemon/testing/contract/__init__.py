"""Test suite of every promise of `IAssetStore`.

A plugin's author writes::

    class TestMyStore(StoreContract):
        @pytest_twisted.async_yield_fixture
        async def store(self):
            store = my_plugin.create(MyOptions(...))
            yield store
            await store.close()

and, when there is a server to stop and start, the fixtures `restart` and `down`. Needs pytest and pytest-twisted.
"""

from was_daemon.testing.contract.base import GONE, gather_all, original
from was_daemon.testing.contract.concurrency import Concurrency
from was_daemon.testing.contract.creating import Creating
from was_daemon.testing.contract.deleting import Deleting
from was_daemon.testing.contract.faults import Faults
from was_daemon.testing.contract.listing import LEGAL_NAMES, Listing
from was_daemon.testing.contract.moving import Moving
from was_daemon.testing.contract.reading import Reading
from was_daemon.testing.contract.versions import Versions
from was_daemon.testing.contract.writing import Writing

__all__ = ["GONE", "LEGAL_NAMES", "StoreContract", "gather_all", "original"]


class StoreContract(Faults, Concurrency, Creating, Moving, Listing, Deleting, Versions, Reading, Writing):
    """All promises of a store as tests; a subclass supplies the fixture `store`, see the module's docstring."""
