"""All of the contract holds with a trash, too."""

from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.daemon import KEY, Daemon
from tests.support.http_contract import HTTPContract


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = {"server": {"max_upload": "8 MiB"}, "trash": {"keep": "30 days", "replaced": True}}
    daemon = Daemon(tmp_path_factory.mktemp("trash"), config).start()
    yield daemon
    daemon.stop()


@pytest.mark.slow
class TestWithTrash(HTTPContract):
    @pytest.fixture
    def client(self, daemon: Daemon) -> Client:
        return Client(daemon.url, KEY)
