"""The viewer in a real browser, on real pictures: what people see and do, and that its policy forbids none of it."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support import images, recordings, tiffs
from tests.support.browser import Page
from tests.support.daemon import Daemon
from tests.support.likeness import difference
from tests.support.viewer import DESK, PER_INCH, PHONE, SETTLED, SIZE, box, of_panel, part, scan, settle, text, view


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with some pictures."""
    daemon = Daemon(tmp_path_factory.mktemp("viewed")).start()
    originals = daemon.store / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    (originals / "scan.jpg").write_bytes(scan())
    (originals / "plain.png").write_bytes(images.encode(images.chart((1200, 1200)), "PNG"))
    red, blue = (Image.new("RGB", (900, 600), colour) for colour in ("red", "blue"))
    (originals / "pages.tif").write_bytes(tiffs.two_pages(red, blue, reduced=False))
    (originals / "notes.txt").write_bytes(b"seen at dusk")
    (originals / "broken.mp3").write_bytes(b"ID3")
    (originals / "film.webm").write_bytes(recordings.film("webm"))
    (originals / "tone.mp3").write_bytes(recordings.sound("mp3"))
    yield daemon
    daemon.stop()


def test_the_picture_is_shown_whole_and_as_it_is(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg")
    assert box(page) == (0, 0, *SIZE)
    assert text(page, "h1") == "scan.jpg"
    seen = part(page.picture(), page, ".view")
    scale = min(seen.width / SIZE[0], seen.height / SIZE[1])
    size = (round(SIZE[0] * scale), round(SIZE[1] * scale))
    left, upper = (seen.width - size[0]) // 2, (seen.height - size[1]) // 2
    # Without the upper right corner, where the overview is, and the lower left one, where the scale is.
    for region in ((0, 0, 0.6, 0.8), (0.4, 0.4, 1, 1)):
        cut = [round(side * length) for side, length in zip(region, size * 2, strict=True)]
        shown = seen.crop((left + cut[0], upper + cut[1], left + cut[2], upper + cut[3]))
        assert difference(shown, images.chart(SIZE).resize(size, Image.Resampling.BOX).crop(tuple(cut))) < 4


def test_tools_zoom_and_rotate_and_show_all_of_it_again(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg")
    page.click("[data-act=zoomIn]")
    page.click("[data-act=zoomIn]")
    settle(page)
    x, y, width, height = box(page)
    assert x > 0 and y > 0 and width < SIZE[0] and height < SIZE[1]
    assert abs((x + width / 2) - SIZE[0] / 2) < 3 and abs((y + height / 2) - SIZE[1] / 2) < 3
    page.click("[data-act=zoomOut]")
    assert box(page)[2] > width
    page.click("[data-act=rotateRight]")
    assert of_panel(page, "panel.rotation") == 90
    assert text(page, "#said") == "Rotated by 90°"
    page.click("[data-act=rotateLeft]")
    page.click("[data-act=whole]")
    assert box(page) == (0, 0, *SIZE)


def test_keys_move_the_picture_that_has_the_focus_and_no_other_element(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg")
    # It has it from the beginning.
    for key in ("+", "+", "+"):
        page.press(key)
    start = box(page)
    page.press("ArrowRight")
    right = box(page)
    assert right[0] > start[0] + 50 and right[1:] == pytest.approx(start[1:], abs=1)
    page.press("r")
    rotated = box(page)
    page.press("ArrowRight")
    # Along the screen: what was above is at the right now.
    assert box(page)[1] < rotated[1] and abs(box(page)[0] - rotated[0]) < 2
    page.press("0")
    page.press("R")
    assert box(page) == (0, 0, *SIZE)
    page.evaluate("document.querySelector('[data-act=compare]').focus()")
    page.press("+")
    assert box(page) == (0, 0, *SIZE)


def test_the_focus_goes_through_all_tools_and_each_has_a_name(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg")
    page.evaluate("document.querySelector('#tools button').focus()")
    names = []
    for _ in range(11):
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
        page.press("Tab")
    assert names == [
        "Zoom in",
        "Zoom out",
        "Show all of it",
        "Rotate to the left",
        "Rotate to the right",
        "Full screen",
        "Compare with another",
        "Download what is visible",
        "Download the original",
        "Details",
        "Picture scan.jpg; arrow keys move it, plus and minus zoom",
    ]


def test_the_scale_is_as_long_as_the_file_says(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg")
    page.wait_for("!document.querySelector('.scale').hidden")
    for _ in range(3):
        millimetres = {"µm": 0.001, "mm": 1, "cm": 10}
        number, unit = text(page, ".scale").split()
        on_screen = page.evaluate("document.querySelector('.scale').getBoundingClientRect().width")
        visible = of_panel(page, "panel.viewer.viewport.viewportToImageZoom(panel.viewer.viewport.getZoom(true))")
        assert on_screen / visible / (PER_INCH / 25.4) == pytest.approx(float(number) * millimetres[unit], rel=0.01)
        page.press("+")
        page.press("+")
        page.press("+")
        settle(page)
    page.press("s")
    assert page.evaluate("document.querySelector('.scale').hidden")


def test_there_is_no_scale_where_the_file_says_nothing(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=plain.png")
    of_panel(page, "await panel.metadata")
    assert page.evaluate("document.querySelector('.scale').hidden")


def test_details_are_what_is_known_of_the_file(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg")
    page.click("#tools [data-act=details]")
    page.wait_for("document.querySelector('#metadata details')")
    assert page.evaluate("document.activeElement.id") == "details"
    told = text(page, "#details")
    for each in ("2400 × 1600 pixels, 3.8 megapixels", "254 pixels per inch", "Specimen Optics", "Date Time Original"):
        assert each in told
    assert page.evaluate("document.querySelector('#address').value") == f"{daemon.url}/iiif/3/scan.jpg/info.json"
    manifest = page.evaluate("document.querySelector('#manifest').value")
    assert manifest == f"{daemon.url}/iiif/presentation/3/scan.jpg/manifest"
    page.click("[data-copy=manifest]")
    page.wait_for("document.querySelector('#said').innerText.startsWith('Copied') || getSelection().toString()")
    page.click("#details [data-act=details]")
    assert page.evaluate("document.querySelector('#details').hidden")
    assert page.evaluate("document.activeElement.dataset.act") == "details"


@pytest.mark.parametrize("key", ["i", "Escape"])
def test_a_key_hides_the_details_and_gives_the_focus_back_to_the_picture(page: Page, daemon: Daemon, key: str) -> None:
    view(page, daemon, "filename=scan.jpg")
    page.press("i")
    assert page.evaluate("document.activeElement.id") == "details"
    page.press(key)
    assert page.evaluate("document.querySelector('#details').hidden")
    assert page.evaluate("document.activeElement.matches('.openseadragon-canvas')")


def test_pages_are_turned_and_the_address_says_which_is_shown(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=pages.tif")
    red = part(page.picture(), page, ".view").getpixel((640, 300))
    assert red[0] > 200 > 50 > red[2]
    page.wait_for("!document.querySelector('.pages').hidden")
    assert "of 2" in text(page, ".pages")
    page.click(".pages .next")
    page.wait_for(f"document.querySelector('.pages input').value === '2' && {SETTLED}")
    blue = part(page.picture(), page, ".view").getpixel((640, 300))
    assert blue[2] > 200 > 50 > blue[0]
    assert page.evaluate("new URL(location.href).searchParams.get('page')") == "2"
    view(page, daemon, "filename=pages.tif&page=2")
    assert part(page.picture(), page, ".view").getpixel((640, 300)) == blue
    page.press("PageUp")
    page.wait_for(f"document.querySelector('.pages input').value === '1' && {SETTLED}")
    assert part(page.picture(), page, ".view").getpixel((640, 300)) == red


def test_the_address_says_which_page_of_each_of_two_pictures_is_shown(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg&filename2=pages.tif&page2=2")
    page.wait_for("document.querySelector('.picture:last-child .pages input').value === '2'")
    page.click(".picture:last-child .pages .previous")
    page.wait_for(f"document.querySelector('.picture:last-child .pages input').value === '1' && {SETTLED}")
    assert page.evaluate("location.search") == "?filename=scan.jpg&filename2=pages.tif"


def test_two_pictures_move_together_until_they_shall_not(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg&filename2=plain.png")
    zooms = "panel.viewer.viewport.getZoom(true) / panel.viewer.viewport.getHomeZoom()"
    page.click(".picture:first-child .view")
    page.press("+")
    page.press("+")
    settle(page)
    assert of_panel(page, zooms, 0) == pytest.approx(2.25, rel=0.01)
    assert of_panel(page, zooms, 1) == pytest.approx(2.25, rel=0.01)
    before = box(page, 1)
    page.press("ArrowRight")
    assert box(page, 1)[0] > before[0]
    page.click("[data-act=link]")
    before = box(page, 1)
    page.press("ArrowLeft")
    settle(page)
    assert box(page, 1) == before


def test_what_is_seen_stays_so_when_there_is_less_room(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg&filename2=plain.png")
    page.click("#tools [data-act=details]")
    settle(page)
    assert (box(page, 0), box(page, 1)) == ((0, 0, *SIZE), (0, 0, 1200, 1200))
    page.click(".picture:first-child .view")
    page.press("+")
    settle(page)
    before = [of_panel(page, "panel.viewer.viewport.getCenter(true)", index) for index in (0, 1)]
    page.show_as((1000, 700))
    settle(page)
    for index in (0, 1):
        # As large a part of the window as before, and in the same place.
        zoom = of_panel(page, "panel.viewer.viewport.getZoom(true) / panel.viewer.viewport.getHomeZoom()", index)
        assert zoom == pytest.approx(1.5, rel=0.2)
        centre = of_panel(page, "panel.viewer.viewport.getCenter(true)", index)
        assert (centre["x"], centre["y"]) == pytest.approx((before[index]["x"], before[index]["y"]), abs=0.02)


def test_another_picture_is_chosen_by_its_name_or_its_address(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=scan.jpg")
    for entered in ("plain.png", f"{daemon.url}/view?filename=plain.png"):
        page.click("#tools [data-act=compare]")
        page.type(entered)
        page.click("#compare [type=submit]")
        page.wait_for(f"document.querySelectorAll('.picture').length === 2 && {SETTLED}")
        assert text(page, ".picture:last-child h2") == "plain.png"
        page.click(".picture:last-child .close")
        page.wait_for(f"document.querySelectorAll('.picture').length === 1 && {SETTLED}")
        assert text(page, "h1") == "scan.jpg"
    page.click("#tools [data-act=compare]")
    page.type("https://elsewhere.example/view?filename=plain.png")
    page.click("#compare [type=submit]")
    assert text(page, "#other-problem") == "This is no address of a picture on this server."


def test_what_is_visible_is_downloaded_as_it_is_seen(page: Page, daemon: Daemon, tmp_path: Path) -> None:
    view(page, daemon, "filename=scan.jpg")
    page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    for key in "+++r":
        page.press(key)
    settle(page)
    x, y, width, height = box(page)
    page.click("[data-act=part]")
    page.wait_for("document.querySelector('#said').innerText.startsWith('Saved')")
    name = f"scan {x},{y},{width},{height}.jpg"
    assert text(page, "#said") == f"Saved {name}"
    saved = wait_for_file(page, tmp_path / name)
    expected = images.chart(SIZE).crop((x, y, x + width, y + height)).transpose(Image.Transpose.ROTATE_270)
    assert saved.size == expected.size == (height, width)
    assert difference(saved, expected) < 4


def wait_for_file(page: Page, path: Path) -> Image.Image:
    """The picture in a file, once the browser has written it."""
    while not path.exists():
        page.evaluate("new Promise((done) => setTimeout(done, 20))")
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


def test_the_original_is_downloaded_under_its_name(page: Page, daemon: Daemon, tmp_path: Path) -> None:
    view(page, daemon, "filename=scan.jpg")
    page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.click("#original")
    wait_for_file(page, tmp_path / "scan.jpg")
    assert (tmp_path / "scan.jpg").read_bytes() == scan()


@pytest.mark.parametrize(
    ("query", "title", "retry"),
    [
        ("filename=missing.jpg", "There is no such picture", False),
        ("filename=notes.txt", "Files of this kind cannot be shown here", False),
        ("", "This address is not complete", False),
    ],
)
def test_what_cannot_be_shown_is_explained(
    tolerant_page: Page, daemon: Daemon, query: str, title: str, retry: bool
) -> None:
    page = tolerant_page
    view(page, daemon, query)
    assert text(page, ".problem h2") == title
    assert page.evaluate("!document.querySelector('.problem button').hidden") is retry
    assert page.failed


@pytest.mark.parametrize("title", ["The picture has been replaced", "There is no such picture"])
def test_a_picture_that_changes_while_somebody_looks_is_not_left_blurred(
    tolerant_page: Page, daemon: Daemon, title: str
) -> None:
    page, original = tolerant_page, daemon.store / "originals" / "changing.jpg"
    original.write_bytes(scan())
    view(page, daemon, "filename=changing.jpg")
    original.unlink()
    if title.endswith("replaced"):
        original.write_bytes(images.encode(images.chart((900, 600)), "JPEG"))
    for _ in range(5):
        page.press("+")
    page.wait_for("!document.querySelector('.problem').hidden")
    assert text(page, ".problem h2") == title
    if title.endswith("replaced"):
        page.click(".problem button")
        settle(page)
        assert box(page) == (0, 0, 900, 600)


@pytest.mark.parametrize(("name", "player"), [("film.webm", "video"), ("tone.mp3", "audio")])
def test_a_recording_is_played(page: Page, daemon: Daemon, name: str, player: str) -> None:
    view(page, daemon, f"filename={name}")
    found = f"document.querySelector('.view {player}')"
    assert page.evaluate(f"{found}.duration") == pytest.approx(recordings.SECONDS, abs=0.1)
    # As if somebody had pressed a button: browsers play no sound of their own accord.
    page.command("Runtime.evaluate", expression=f"{found}.play()", userGesture=True)
    page.wait_for(f"{found}.currentTime > 0")
    page.click("#tools [data-act=details]")
    assert text(page, "#facts dd") == name
    assert page.evaluate("document.querySelector('#manifest').value").endswith(f"/{name}/manifest")
    assert not page.evaluate("document.querySelector('#address').checkVisibility()")


def test_a_recording_that_the_browser_cannot_play_can_be_downloaded(page: Page, daemon: Daemon) -> None:
    view(page, daemon, "filename=broken.mp3")
    assert text(page, ".problem h2") == "Files of this kind cannot be shown here"
    assert "broken.mp3" in page.evaluate("document.querySelector('.problem a').href")


def test_it_is_dark_where_people_like_it_dark(page: Page, daemon: Daemon) -> None:
    for is_dark, least, most in ((False, 200, 255), (True, 0, 60)):
        page.show_as(DESK, dark=is_dark)
        view(page, daemon, "filename=scan.jpg")
        seen = page.picture()
        for place in ((2, 2), (2, 790)):
            assert least <= min(seen.getpixel(place)) <= max(seen.getpixel(place)) <= most


@pytest.mark.parametrize("query", ["filename=scan.jpg", "filename=scan.jpg&filename2=plain.png"])
def test_it_can_be_used_on_a_phone(page: Page, daemon: Daemon, query: str) -> None:
    page.show_as(PHONE, touch=True)
    view(page, daemon, query)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    sizes = page.evaluate(
        "[...document.querySelectorAll('#tools > :not([hidden])')].map((each) => each.getBoundingClientRect())"
        ".map((each) => [each.left, each.right, each.bottom, each.width, each.height])"
    )
    assert all(left >= 0 and right <= PHONE[0] and bottom <= PHONE[1] for left, right, bottom, _, _ in sizes)
    assert all(width >= 24 and height >= 44 for _, _, _, width, height in sizes)
    before = box(page)
    x, y = page.evaluate(
        "(() => { const b = document.querySelector('.view').getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2] })()"
    )
    page.pinch(int(x), int(y), 2)
    settle(page)
    assert box(page)[2] < before[2] * 0.7
    page.click("#tools [data-act=details]")
    page.wait_for("document.querySelector('#metadata details')")
    details = page.evaluate("document.querySelector('#details').getBoundingClientRect().toJSON()")
    assert (details["left"], details["right"]) == (0, PHONE[0])
    assert details["top"] > 100


def test_words_can_be_read(page: Page, daemon: Daemon) -> None:
    """The contrast of all texts is at least 4.5 (WCAG 2.2, 1.4.3)."""
    for is_dark in (False, True):
        page.show_as(DESK, dark=is_dark)
        view(page, daemon, "filename=pages.tif&filename2=scan.jpg")
        page.click("#tools [data-act=details]")
        page.wait_for("document.querySelector('#metadata details') || document.querySelector('#metadata p')")
        assert page.evaluate(_LOWEST_CONTRAST) >= 4.5


_LOWEST_CONTRAST = """
(() => {
  const channels = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = channels(colour).map((each) => each / 255)
      .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (channels(colour).length === 3 || channels(colour)[3] === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("h1, h2, p, dt, dd, summary, label, button, .tools a")]
    .filter((each) => each.checkVisibility() && !each.disabled);
  return Math.min(...texts.map((each) => {
    const [a, b] = [light(getComputedStyle(each).color), light(back(each))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
})()
"""
