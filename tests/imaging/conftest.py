"""Fixtures of the tests that render thumbnails in their own process."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from was_daemon.imaging.render import Output, render

MAX_PIXELS = 500_000_000
Render = Callable[..., Image.Image]


@pytest.fixture
def thumbnail(tmp_path: Path) -> Render:
    """Render bytes that bear a name, and open the thumbnail."""

    def make(
        data: bytes, name: str = "a.jpg", scale: int = 240, format_name: str = "PNG", max_pixels: int = MAX_PIXELS
    ) -> Image.Image:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(data)
        target.write_bytes(b"left over" * 10_000)
        with source.open("rb") as original, target.open("r+b") as output:
            render(original, name, [Output(scale, format_name, output, name)], max_pixels)
        return Image.open(io.BytesIO(target.read_bytes()))

    return make
