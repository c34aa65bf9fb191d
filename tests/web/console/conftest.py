"""A browser for the tests of the console."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Page, browser

DESK = (1200, 800)


@pytest.fixture(scope="package")
def console_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of all tests."""
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(console_page: Page) -> Iterator[Page]:
    """A page that must have nothing to complain about at the end, such as a violation of its policy."""
    console_page.show_as(DESK)
    for told in (console_page.complaints, console_page.failed, console_page.requests):
        told.clear()
    yield console_page
    console_page.evaluate("1")
    assert console_page.complaints == []
    console_page.open("about:blank")
