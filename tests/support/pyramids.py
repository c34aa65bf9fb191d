"""Zoom pyramids as files: made in this process, and read as the daemon does, without a daemon."""

import io
from pathlib import Path

from PIL import Image

from was_daemon.imaging.pyramid import write_pyramid
from was_daemon.model.pyramids import TRAILER_SIZE, Box, PyramidIndex, Tile, index_size, parse_index

MAX_PIXELS = 500_000_000


class PyramidFile:
    """The pyramid of a page of a file of these bytes, called `name`; `directory` holds both."""

    def __init__(self, directory: Path, data: bytes, name: str = "a.jpg", page: int = 1) -> None:
        source, target = directory / "source", directory / "target"
        source.write_bytes(data)
        target.write_bytes(b"left over" * 10_000)
        with source.open("rb") as original, target.open("r+b") as output:
            write_pyramid(original, name, page, output, MAX_PIXELS)
            # Here the daemon writes the mark.
            assert output.tell() == target.stat().st_size
        self.path = target
        self._content = target.read_bytes()

    @property
    def index(self) -> PyramidIndex:
        """The index at the end of the file."""
        return parse_index(self._content[-index_size(self._content[-TRAILER_SIZE:]) :])

    def tile(self, tile: Tile) -> Image.Image:
        """One tile."""
        start, stop = self.index.span(tile)
        return Image.open(io.BytesIO(self._content[start:stop]))

    def alpha(self, number: int) -> Image.Image:
        """The alpha channel of all tiles of a level, side by side."""
        size = self.index.geometry.levels[number]
        image = Image.new("L", size)
        for tile in self.index.geometry.tiles_in(number, Box(0, 0, *size)):
            start, stop = self.index.alpha_span(tile)
            image.paste(Image.open(io.BytesIO(self._content[start:stop])), (tile.left, tile.top))
        return image

    def level(self, number: int) -> Image.Image:
        """All tiles of a level, side by side."""
        size = self.index.geometry.levels[number]
        image = Image.new("RGB", size)
        for tile in self.index.geometry.tiles_in(number, Box(0, 0, *size)):
            image.paste(self.tile(tile), (tile.left, tile.top))
        return image
