"""The official validator of the Image API finds nothing wrong, in both versions, directly and through nginx."""

from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

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
    site = NginxSite(tmp_path_factory.mktemp("nginx"), daemon).start()
    yield site
    site.stop()


@pytest.mark.parametrize(("version", "test"), TESTS)
def test_the_validator_finds_nothing_wrong(daemon: Daemon, version: str, test: str) -> None:
    assert failure(daemon.url, NAME, version, test) is None


@pytest.mark.parametrize(("version", "test"), TESTS)
def test_the_validator_finds_nothing_wrong_through_nginx(site: NginxSite, version: str, test: str) -> None:
    assert failure(site.url, NAME, version, test) is None


def test_a_picture_is_not_refused_for_a_box_larger_than_itself(daemon: Daemon) -> None:
    """As the specification says (3.0, section 4.2); the rest of what `size_noup` tests is refused."""
    for size, status in {"!2000,3000": 200, "1200,1200": 400, ",1200": 400, "1200,": 400, "pct:200": 400}.items():
        try:
            answered = urlopen(f"{daemon.url}/iiif/3/{NAME}/full/{size}/0/default.jpg").status
        except HTTPError as error:
            answered = error.code
        assert answered == status
