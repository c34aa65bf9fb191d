"""The official validator of the Image API finds nothing wrong, in both versions, directly and through nginx."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon
from tests.support.iiif import failure, known_picture, names_of_tests, put
from tests.support.nginx_site import NginxSite

NAME = "67352ccc-d1b0-11e1-89ae-279075081939.png"
TESTS = [(version, test) for version in ("2.0", "3.0") for test in names_of_tests(version)]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("iiif"))
    put(daemon.store, NAME, known_picture())
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def site(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxSite]:
    daemon_behind = NginxSite(tmp_path_factory.mktemp("nginx"), daemon)
    yield daemon_behind.start()
    daemon_behind.stop()


@pytest.mark.parametrize(("version", "test"), TESTS)
def test_the_validator_finds_nothing_wrong(daemon: Daemon, version: str, test: str) -> None:
    assert failure(daemon.url, NAME, version, test) is None
