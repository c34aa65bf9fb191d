"""A browser without a window: pictures of pages as people see them."""

import shutil
import subprocess
from pathlib import Path

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
