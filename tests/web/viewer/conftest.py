"""A browser for the tests of the viewer."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Page, browser
from tests.support.needs import require
from was_daemon.web.viewer.files import installed_files

DESK = (1280, 800)


@pytest.fixture(scope="package")
def shared_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of all tests."""
    require(installed_files().are_complete, "OpenSeadragon")
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(shared_page: Page) -> Iterator[Page]:
    """A page that must have nothing to complain about at the end, a violation of its policy least of all."""
    shared_page.show_as(DESK)
    shared_page.complaints.clear()
    shared_page.requests.clear()
    yield shared_page
    # What the browser has to say by now.
    shared_page.evaluate("1")
    assert shared_page.complaints == []
