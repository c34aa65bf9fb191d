"""Viewers of others open manifests from another origin: Mirador 4 and Universal Viewer 4, in a browser."""

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from tests.support import images, recordings
from tests.support.browser import Shown, show
from tests.support.daemon import KEY, Daemon
from tests.support.iiif import put
from tests.support.needs import require
from tests.support.paths import ROOT
from was_daemon.web.capabilities import grant

pytestmark = pytest.mark.slow

WINDOW = (1200, 800)
VIEWERS = ROOT / ".venv" / "viewers"
NEVER = 9_999_999_999

# As soon as the viewer has a sound or a film, it is loaded, and its length is noted.
_LISTENING = """
<script>
    setInterval(() => {
        const media = document.querySelector("video, audio");
        if (!media) return;
        if (media.preload !== "auto") { media.preload = "auto"; media.load(); }
        document.documentElement.dataset.length = media.error ? media.error.message : media.duration;
    }, 200);
</script>
"""
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
        (directory / f"{name}.html").write_text(page + _LISTENING)
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


def opened(site: str, viewer: str, daemon: Daemon, name: str, directory: Path) -> Shown:
    address = f"{daemon.url}/iiif/presentation/3/{name};{grant(KEY, None, name, NEVER)}/manifest"
    shown = show(f"{site}/{viewer}.html?manifest={quote(address, safe='')}", directory, WINDOW)
    assert name in shown.html
    return shown


def has(picture: Image.Image, colour: tuple[int, int, int], parts: float) -> bool:
    """Whether as large a part of a picture is of a colour."""
    pixels = picture.get_flattened_data()
    near = sum(all(abs(a - b) < 24 for a, b in zip(pixel, colour, strict=True)) for pixel in pixels)
    return near >= parts * picture.width * picture.height


@pytest.mark.parametrize("viewer", PAGES)
@pytest.mark.parametrize(("name", "pages"), [("chart.png", 1), ("book.pdf", 3)])
def test_a_viewer_shows_a_picture(
    site: str, viewer: str, daemon: Daemon, name: str, pages: int, tmp_path: Path
) -> None:
    shown = opened(site, viewer, daemon, name, tmp_path)
    for colour in images.corners(images.chart()).values():
        assert has(shown.picture, colour, 0.01), colour
    if pages > 1:
        assert f"of {pages}" in shown.html


@pytest.mark.parametrize("viewer", PAGES)
def test_a_viewer_shows_the_pages_of_a_tiff(site: str, viewer: str, daemon: Daemon, tmp_path: Path) -> None:
    shown = opened(site, viewer, daemon, "pages.tif", tmp_path)
    assert has(shown.picture, (254, 0, 0), 0.1)
    assert "of 3" in shown.html
    if viewer == "universalviewer":
        # It has small pictures of all pages beside it.
        assert has(shown.picture, (0, 0, 254), 0.003) and has(shown.picture, (0, 255, 1), 0.003)


@pytest.mark.parametrize("viewer", PAGES)
@pytest.mark.parametrize("name", ["film.webm", "tone.mp3"])
def test_a_viewer_plays_a_recording(site: str, viewer: str, daemon: Daemon, name: str, tmp_path: Path) -> None:
    shown = opened(site, viewer, daemon, name, tmp_path)
    assert f'data-length="{recordings.SECONDS}' in shown.html
