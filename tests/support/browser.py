"""A browser without a window: pictures of pages as people see them."""

import shutil
import subprocess
from pathlib import Path

import attrs
from PIL import Image

from tests.support.needs import require

_CHROMIUM = shutil.which("chromium")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_PATIENCE = 120
_PAGE_SECONDS = 20
"""Time that passes on a page of scripts before it is looked at: the page's own, which stands while a request runs."""


@attrs.frozen
class Shown:
    """What a page of scripts has become: its elements as HTML, and what people see of it."""

    html: str
    picture: Image.Image


def show(url: str, directory: Path, size: tuple[int, int]) -> Shown:
    """The page at `url` after its scripts ran, in a window of `size` pixels; `directory` is as for `screenshot`."""
    picture = directory / "page.png"
    require(_CHROMIUM, "Chromium")
    done = subprocess.run(
        [
            str(_CHROMIUM),
            *_FLAGS,
            "--autoplay-policy=no-user-gesture-required",
            f"--user-data-dir={directory / 'profile'}",
            f"--window-size={size[0]},{size[1]}",
            f"--virtual-time-budget={_PAGE_SECONDS * 1000}",
            f"--screenshot={picture}",
            "--dump-dom",
            url,
        ],
        check=True,
        capture_output=True,
        timeout=_PATIENCE,
    )
    with Image.open(picture) as image:
        return Shown(done.stdout.decode(), image.convert("RGB"))


def screenshot(url: str, directory: Path, size: tuple[int, int], dark: bool = False, scale: int = 1) -> Image.Image:
    """The page at `url` in a window of `size` pixels; what the browser keeps goes to `directory`."""
    picture = directory / "page.png"
    require(_CHROMIUM, "Chromium")
    subprocess.run(
        [
            str(_CHROMIUM),
            *_FLAGS,
            *(["--force-dark-mode"] if dark else []),
            f"--user-data-dir={directory / 'profile'}",
            f"--window-size={size[0]},{size[1]}",
            f"--force-device-scale-factor={scale}",
            f"--screenshot={picture}",
            url,
        ],
        check=True,
        capture_output=True,
        timeout=_PATIENCE,
    )
    with Image.open(picture) as image:
        return image.convert("RGB")
