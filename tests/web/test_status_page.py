"""The page at `/`, in a real browser, and what strangers learn from it."""

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import RunDaemon
from tests.support.browser import screenshot
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from was_daemon import __version__

GOOD, BAD = (0x1D, 0x7A, 0x46), (0xB3, 0x26, 0x1E)
PHONE, DESK = (360, 800), (1200, 800)


def page(url: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": "text/html"})) as answer:
        return str(answer.read().decode())


def page_that_says(text: str, daemon: Daemon) -> str:
    """The page as it is once it says so: the first look at the disks may take a while."""

    def look() -> str | None:
        html = page(daemon.url)
        return html if text in html else None

    return str(eventually(look, f"for the page to say {text}"))


def card(html: str, name: str) -> str:
    found = re.search(f"<dt>{name}</dt><dd[^>]*>([^<]*)", html)
    assert found, html
    return found[1]


def has_colour(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    return colour in {each for _, each in image.getcolors(image.width * image.height) or []}


@pytest.fixture
def failing(run_daemon: RunDaemon, tmp_path: Path) -> Daemon:
    """A daemon one of whose two stores cannot be used."""
    (tmp_path / "secret-path").write_text("no directory")
    stores = {"main": "store", "secret-name": tmp_path / "secret-path" / "store"}
    tables = {name: {"plugin": "filesystem", "path": path} for name, path in stores.items()}
    return run_daemon({"stores": tables})


def test_it_says_at_a_glance_that_all_is_well(run_daemon: RunDaemon) -> None:
    html = page_that_says("<h1>It works!</h1>", run_daemon())
    assert __version__ in html
    assert card(html, "Stores") == card(html, "Disk space") == card(html, "Thumbnails") == "ok"
    assert card(html, "Queue") == card(html, "Failed requests") == "0"


def test_it_says_at_a_glance_that_a_store_is_out_of_order(failing: Daemon) -> None:
    html = page_that_says("1 out of order", failing)
    assert "<h1>Something is wrong</h1>" in html
    assert card(html, "Stores") == "failing"
    assert int(card(html, "Errors")) > 0


def test_it_says_that_the_disk_is_full(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"min_free": 1 << 60}})
    eventually(lambda: card(page(daemon.url), "Disk space") == "low", "for the disk to be looked at")
    html = page(daemon.url)
    assert card(html, "Stores") == "ok"


def test_failed_requests_are_counted(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"limits": {"min_free": 1 << 60}})
    form = Client(daemon.url, KEY).specify7_form("a.jpg")
    upload = urllib.request.Request(
        f"{daemon.url}/fileupload", form.around(b"a"), headers={"Content-Type": form.content_type}
    )
    with pytest.raises(urllib.error.HTTPError, match="507"):
        urllib.request.urlopen(upload)
    eventually(lambda: card(page(daemon.url), "Failed requests") == "1", "for the request to be counted")


def test_strangers_learn_no_path_and_no_name(failing: Daemon) -> None:
    html = page(failing.url)
    assert "secret" not in html
    assert str(failing.directory) not in html
    assert "filesystem" not in html


def test_it_loads_and_runs_nothing(filesystem_daemon: Daemon) -> None:
    request = urllib.request.Request(filesystem_daemon.url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request) as answer:
        policy, html = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert not re.search(r"<script|<link|<img|src=|url\(|https?://", html)


def test_who_is_no_browser_gets_two_words(filesystem_daemon: Daemon) -> None:
    with urllib.request.urlopen(filesystem_daemon.url) as answer:
        assert answer.read() == b"It works!"


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_fits_the_window(filesystem_daemon: Daemon, tmp_path: Path, size: tuple[int, int]) -> None:
    image = screenshot(filesystem_daemon.url, tmp_path, size)
    back = image.getpixel((0, 0))
    margins = [image.crop((0, 0, 8, size[1])), image.crop((size[0] - 8, 0, *size))]
    assert all(has_colour(margin, back) and len(margin.getcolors() or []) == 1 for margin in margins)
    assert has_colour(image, GOOD)
    assert not has_colour(image, BAD)


def test_it_is_dark_where_people_like_it_dark(filesystem_daemon: Daemon, tmp_path: Path) -> None:
    light = screenshot(filesystem_daemon.url, tmp_path, PHONE).getpixel((0, 0))
    dark = screenshot(filesystem_daemon.url, tmp_path, PHONE, dark=True).getpixel((0, 0))
    assert min(light) > 200
    assert max(dark) < 50


def test_trouble_is_red(failing: Daemon, tmp_path: Path) -> None:
    assert has_colour(screenshot(failing.url, tmp_path, PHONE), BAD)
