"""Viewers of others open manifests from another origin: Mirador 4 and Universal Viewer 4, in a browser."""

import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from tests.support import images, recordings
from tests.support.browser import Page, browser
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.iiif import put
from tests.support.needs import require
from tests.support.paths import ROOT
from was_daemon.web.capabilities import grant

pytestmark = pytest.mark.slow

WINDOW = (1200, 800)
VIEWERS = ROOT / ".venv" / "viewers"
NEVER = 9_999_999_999

PAGES = {
    "mirador": """
        <!doctype html><meta charset="utf-8"><body><div id="viewer"></div>
        <script src="mirador/dist/mirador.min.js"></script>
        <script>
            const manifestId = new URLSearchParams(location.search).get("manifest");
            Mirador.viewer({id: "viewer", windows: [{manifestId, sideBarOpen: true}]});
        </script>
    """,
    "universalviewer": """
        <!doctype html><meta charset="utf-8"><link rel="stylesheet" href="universalviewer/dist/uv.css">
        <body style="margin: 0"><div id="viewer" class="uv" style="width: 1200px; height: 800px"></div>
        <script src="universalviewer/dist/umd/UV.js"></script>
        <script>
            UV.init("viewer", {manifest: new URLSearchParams(location.search).get("manifest")});
        </script>
    """,
}


class Quiet(SimpleHTTPRequestHandler):
    """Files, without a line for each."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site with a page for each viewer."""
    require(VIEWERS.is_dir(), "Mirador and Universal Viewer")
    directory = tmp_path_factory.mktemp("site")
    for name, page in PAGES.items():
        (directory / name).symlink_to(VIEWERS / name)
        (directory / f"{name}.html").write_text(page)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def three_pages() -> bytes:
    first, *rest = (Image.new("RGB", (900, 600), colour) for colour in ("red", "blue", "lime"))
    out = io.BytesIO()
    first.save(out, "TIFF", save_all=True, append_images=rest)
    return out.getvalue()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose assets can only be seen at signed addresses."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), {"server": {"require_token_for_get": True}})
    put(daemon.store, "chart.png", images.encode(images.chart((1200, 900)), "PNG"))
    put(daemon.store, "pages.tif", three_pages())
    put(daemon.store, "book.pdf", images.pdf((595, 842), pages=3))
    put(daemon.store, "film.webm", recordings.film("webm"))
    put(daemon.store, "tone.mp3", recordings.sound("mp3"))
    yield daemon.start()
    daemon.stop()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path) as page:
        page.show_as(WINDOW)
        yield page


def open_asset(page: Page, site: str, viewer: str, daemon: Daemon, name: str) -> None:
    """Have the viewer open the manifest of an asset, and wait until it tells the title of it."""
    address = f"{daemon.url}/iiif/presentation/3/{name};{grant(KEY, None, name, NEVER)}/manifest"
    page.open(f"{site}/{viewer}.html?manifest={quote(address, safe='')}")
    page.wait_for(f"document.body.innerText.includes({json.dumps(name)})")


def wait_for_colours(page: Page, colours: dict[tuple[int, int, int], float]) -> None:
    """Wait until as large parts of the page are of these colours."""
    eventually(lambda: has(page.picture(), colours), f"for {colours}")


def has(picture: Image.Image, colours: dict[tuple[int, int, int], float]) -> bool:
    pixels = picture.get_flattened_data()
    return all(
        sum(all(abs(a - b) < 24 for a, b in zip(pixel, colour, strict=True)) for pixel in pixels) >= part * len(pixels)
        for colour, part in colours.items()
    )


@pytest.mark.parametrize("viewer", PAGES)
@pytest.mark.parametrize(("name", "pages"), [("chart.png", 1), ("book.pdf", 3)])
def test_a_viewer_shows_a_picture(page: Page, site: str, viewer: str, daemon: Daemon, name: str, pages: int) -> None:
    open_asset(page, site, viewer, daemon, name)
    wait_for_colours(page, dict.fromkeys(images.corners(images.chart()).values(), 0.01))
    if pages > 1:
        page.wait_for(f"document.body.innerText.includes('of {pages}')")


@pytest.mark.parametrize("viewer", PAGES)
def test_a_viewer_shows_the_pages_of_a_tiff(page: Page, site: str, viewer: str, daemon: Daemon) -> None:
    open_asset(page, site, viewer, daemon, "pages.tif")
    page.wait_for("document.body.innerText.includes('of 3')")
    # Universal Viewer has small pictures of all pages beside it.
    others = {(0, 0, 254): 0.003, (0, 255, 1): 0.003} if viewer == "universalviewer" else {}
    wait_for_colours(page, {(254, 0, 0): 0.1, **others})


@pytest.mark.parametrize("viewer", PAGES)
@pytest.mark.parametrize("name", ["film.webm", "tone.mp3"])
def test_a_viewer_plays_a_recording(page: Page, site: str, viewer: str, daemon: Daemon, name: str) -> None:
    open_asset(page, site, viewer, daemon, name)
    media = "document.querySelector('video, audio')"
    page.wait_for(f"{media} !== null")
    # As if somebody had pressed a button: browsers play no sound of their own accord.
    page.command("Runtime.evaluate", expression=f"{media}.play()", userGesture=True)
    page.wait_for(f"{media}.currentTime > 0")
    assert page.evaluate(f"{media}.duration") == pytest.approx(recordings.SECONDS, abs=0.1)
