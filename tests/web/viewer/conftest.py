"""A browser for the tests of the viewer."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Page, browser
from tests.support.needs import require
from tests.support.viewer import DESK
from was_daemon.web.viewer.files import installed_files


@pytest.fixture(scope="package")
def shared_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of all tests."""
    require(installed_files().are_complete, "OpenSeadragon")
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def tolerant_page(shared_page: Page) -> Iterator[Page]:
    """A page that must have nothing to complain about at the end but answers that are errors."""
    shared_page.show_as(DESK)
    for told in (shared_page.complaints, shared_page.failed, shared_page.requests):
        told.clear()
    yield shared_page
    # What the browser has to say by now; a violation of the page's policy is the first to look for.
    shared_page.evaluate("1")
    assert shared_page.complaints == []
    # The next test has nothing to do with what comes later.
    shared_page.open("about:blank")


@pytest.fixture
def page(tolerant_page: Page) -> Iterator[Page]:
    """A page that must have nothing to complain about at the end."""
    yield tolerant_page
    tolerant_page.evaluate("1")
    assert tolerant_page.failed == []
