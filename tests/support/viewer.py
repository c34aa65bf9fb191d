"""The viewer's page in a browser: what it shows, and a picture for it."""

from typing import Any

from PIL import Image

from tests.support import images
from tests.support.browser import Page
from tests.support.daemon import Daemon

SIZE = (2400, 1600)
DESK, PHONE = (1280, 800), (390, 844)
PER_INCH = 254

SETTLED = (
    "document.querySelector('.picture') && [...document.querySelectorAll('.picture')].every((each) => "
    "each.getAttribute('aria-busy') === 'false')"
)
PANELS = "(await import(document.querySelector('script[type=module]').src)).panels"


def scan() -> bytes:
    """A scan that says how large a millimetre is: ten pixels."""
    exif = images.photograph_exif()
    exif[0x011A] = exif[0x011B] = float(PER_INCH)
    exif[0x0128] = 2
    return images.encode(images.chart(SIZE), "JPEG", quality=92, exif=exif)


def view(page: Page, daemon: Daemon, query: str) -> None:
    """Go to the viewer's page of a daemon, and wait until all is drawn."""
    page.open(f"{daemon.url}/view?{query}")
    settle(page)


def settle(page: Page) -> None:
    """Wait until all tiles of what is visible are drawn."""
    frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
    page.evaluate(frames)
    page.wait_for(SETTLED)
    page.evaluate(frames)


def of_panel(page: Page, expression: str, index: int = 0) -> Any:
    """The value of an expression of JavaScript about `panel`."""
    return page.evaluate(f"(async () => {{ const panel = {PANELS}[{index}]; return {expression} }})()")


def box(page: Page, index: int = 0) -> tuple[int, int, int, int]:
    """The part of a picture that is visible: x, y, width and height in its pixels."""
    found = of_panel(page, "panel.visibleBox()", index)
    return found["x"], found["y"], found["width"], found["height"]


def text(page: Page, selector: str) -> str:
    """The text of an element as it is seen."""
    return str(page.evaluate(f"document.querySelector('{selector}').innerText"))


def part(picture: Image.Image, page: Page, selector: str) -> Image.Image:
    """An element of the page, cut out of its picture."""
    x, y, right, lower = page.evaluate(
        f"(() => {{ const b = document.querySelector('{selector}').getBoundingClientRect();"
        " return [b.left, b.top, b.right, b.bottom] })()"
    )
    return picture.crop((round(x), round(y), round(right), round(lower)))
