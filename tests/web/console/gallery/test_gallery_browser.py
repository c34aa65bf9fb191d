"""The gallery in a real browser: on a desk and on a phone, in the dark, by keyboard, and with the zoom viewer in it."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.support.browser import Page
from tests.support.console import PASSWORD
from tests.support.images import annotated_tiff, photograph
from tests.support.needs import require
from tests.support.recordings import sound
from tests.support.viewer import DESK, PHONE, scan, settle
from tests.web.console.gallery.museum import BIRDS, COLLECTIONS, FISH, HOSTILE, KEPT, Museum, asset
from was_daemon.web.viewer.files import installed_files

pytestmark = pytest.mark.slow

NAMES = """[...document.querySelectorAll(
  'main a, main button, main input:not([type=hidden]), main select, main summary, .bar a')]
.filter((each) => each.checkVisibility())
.map((each) => (each.getAttribute('aria-label') || each.innerText || each.labels?.[0]?.innerText
  || each.querySelector('img')?.alt || '').trim())"""

LOADED = """[...document.images].every((each) => {
  // Browsers wait with those that nobody has scrolled to.
  each.loading = "eager";
  return each.complete && each.naturalWidth > 0;
})"""


@pytest.fixture(scope="module")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Museum]:
    config = {"collections": COLLECTIONS, **KEPT}
    museum = Museum(tmp_path_factory.mktemp("seen"), config)
    museum.put("scan.jpg", scan(), FISH)
    museum.put("scan.tif", annotated_tiff(), BIRDS)
    museum.put("notes.txt", b"seen at dusk", FISH)
    museum.put("song.mp3", sound("mp3"), BIRDS)
    museum.put(HOSTILE, photograph(), FISH)
    museum.put(f"{'long-' * 40}.jpg", photograph(), FISH)
    museum.put("lost.jpg", photograph(), BIRDS)
    museum.delete("lost.jpg", BIRDS)
    museum.await_rows("history", "lost.jpg", 2)
    yield museum
    museum.stop()


PAGES = (
    *("gallery/", "gallery/?name=none", "gallery/?size=big", f"gallery/?{urlencode({'collection': BIRDS})}"),
    *(asset("scan.jpg", FISH), asset(HOSTILE, FISH), asset("song.mp3", BIRDS), asset("lost.jpg", BIRDS)),
    *(asset(f"{'long-' * 40}.jpg", FISH), "trash/", "trash/?name=none"),
)


def root(museum: Museum) -> str:
    """The address of the console."""
    return f"http://localhost:{museum.console.port}/console/"


def log_in(page: Page, museum: Museum, then: str = "gallery/") -> None:
    """Go to a page of the console, by way of the login if there is one."""
    page.open(f"{root(museum)}{then}")
    if page.evaluate("Boolean(document.querySelector('#password'))"):
        page.evaluate("document.querySelector('#password').focus()")
        page.type(PASSWORD)
        page.click("main button")
        page.wait_for("!document.querySelector('#password') && document.readyState === 'complete'")
        page.open(f"{root(museum)}{then}")
    # An error that a page tells is logged by the browser as one.
    page.failed.clear()


def enter(page: Page) -> None:
    """Press Enter as a keyboard does."""
    key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    page.command("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
    page.command("Input.dispatchKeyEvent", type="keyUp", **key)


@pytest.mark.parametrize(("size", "is_dark"), [(DESK, False), (DESK, True), (PHONE, False), (PHONE, True)])
def test_each_page_fits_into_the_window_and_each_control_has_a_name(
    page: Page, museum: Museum, size: tuple[int, int], is_dark: bool
) -> None:
    page.show_as(size, dark=is_dark, touch=size == PHONE)
    for address in PAGES:
        log_in(page, museum, address)
        page.wait_for(LOADED)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        names = page.evaluate(NAMES)
        assert names and all(names), (address, names)
        assert page.evaluate("document.querySelectorAll('h1').length") == 1
        light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] > 128")
        assert light is not is_dark
        assert page.evaluate("typeof alerted") == "undefined"


def test_what_people_press_on_a_phone_is_large_enough(page: Page, museum: Museum) -> None:
    page.show_as(PHONE, touch=True)
    for address in ("gallery/", asset("scan.jpg", FISH), "trash/"):
        log_in(page, museum, address)
        small = page.evaluate(
            "[...document.querySelectorAll('main button, main input:not([type=hidden]), main select, main summary, "
            ".pager a, .preview figcaption a')].filter((each) => each.checkVisibility() "
            "&& each.getBoundingClientRect().height < 24).map((each) => each.outerHTML)"
        )
        assert small == [], address


def test_a_search_is_sent_by_keyboard(page: Page, museum: Museum) -> None:
    page.show_as(DESK)
    log_in(page, museum)
    page.evaluate("document.querySelector('.search summary').focus()")
    enter(page)
    page.press("Tab")
    assert page.evaluate("document.activeElement.name") == "name"
    page.type("*.tif")
    enter(page)
    page.wait_for("document.querySelectorAll('.tiles li').length === 1")
    assert page.evaluate("document.querySelector('.name').innerText") == "scan.tif"
    assert page.evaluate("document.querySelector('[name=name]').value") == "*.tif"
    page.evaluate("document.querySelector('.tiles a').focus()")
    enter(page)
    page.wait_for("document.querySelector('h1')?.innerText === 'scan.tif'")


def test_the_zoom_viewer_draws_the_tiles_of_a_private_picture(page: Page, museum: Museum) -> None:
    require(installed_files().are_complete, "OpenSeadragon")
    page.show_as(DESK)
    log_in(page, museum, asset("scan.jpg", FISH))
    page.click(".preview img")
    page.wait_for("document.querySelector('.picture')")
    settle(page)
    assert page.evaluate("document.querySelector('.problem').hidden")
    tiles = [address for address in page.requests if "/iiif/3/" in address and address.endswith(".jpg")]
    assert tiles and all(address.startswith(f"{root(museum)}gallery/look/") for address in tiles)
    page.press("i")
    page.wait_for("document.querySelector('#metadata details')")
    # Addresses that are of no use to others are not told.
    assert page.evaluate("document.querySelector('#sharing').hidden")


def test_a_sound_is_played_on_its_page(page: Page, museum: Museum) -> None:
    page.show_as(DESK)
    log_in(page, museum, asset("song.mp3", BIRDS))
    page.wait_for("document.querySelector('audio').readyState >= 1")
    assert page.evaluate("document.querySelector('audio').duration") > 0


def test_a_file_is_made_private_and_what_was_decided_is_taken_back(page: Page, museum: Museum) -> None:
    page.show_as(PHONE, touch=True)
    log_in(page, museum, asset("notes.txt", FISH))
    page.evaluate("document.querySelector('#reason').focus()")
    page.type("a nest")
    page.evaluate("document.querySelector('[value=private]').focus()")
    enter(page)
    page.wait_for("document.querySelector('[role=status]')?.innerText.startsWith('Decided')")
    assert "a nest" in page.evaluate("document.querySelector('#visibility').innerText")
    page.evaluate("document.querySelector('[value=by-record]').scrollIntoView()")
    page.click("[value=by-record]")
    page.wait_for("document.querySelector('[role=status]')?.innerText.startsWith('The decision was taken back')")


def test_a_file_comes_back_from_the_trash(page: Page, museum: Museum) -> None:
    page.show_as(DESK)
    log_in(page, museum, "trash/?name=lost.jpg")
    page.click("td button")
    page.wait_for("document.querySelector('[role=status]')?.innerText.includes('stored again')")
    page.wait_for(LOADED)


def test_a_decision_without_a_reason_is_not_sent(page: Page, museum: Museum) -> None:
    page.show_as(DESK)
    log_in(page, museum, asset("scan.jpg", FISH))
    page.evaluate("document.querySelector('[value=private]').click()")
    assert page.evaluate("document.querySelector('#reason:invalid') !== null")
    assert museum.rows("visibility", "scan.jpg") == 0
