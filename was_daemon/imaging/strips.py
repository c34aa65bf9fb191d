"""Pictures that are read in strips of rows, from top to bottom, as images of libvips."""

from collections.abc import Iterator
from typing import Any

import attrs
from PIL import Image

from was_daemon.imaging.libvips import pyvips
from was_daemon.imaging.plain_tiff import BITS, PHOTOMETRIC, SAMPLES, Feed, short, tiff_head

ROWS_AT_ONCE = 64
"""Number of rows of a strip."""

_BLACK_IS_ZERO, _RGB = 1, 2
"""Values of PhotometricInterpretation."""


@attrs.define
class AlphaNote:
    """Note whether any part of a picture is not opaque, made while its rows are read."""

    is_used: bool = False


@attrs.frozen
class FullSize:
    """One page of a file: an image of one or three bands of bytes, to be read once, from top to bottom.

    `pages` is the number of pages of the file.
    """

    image: Any
    pages: int
    _feed: Feed | None = None
    alpha_note: AlphaNote = attrs.field(factory=AlphaNote)

    @property
    def mode(self) -> str:
        """Pillow's mode."""
        return "L" if self.image.bands == 1 else "RGB"

    @property
    def has_alpha(self) -> bool:
        """Whether white stands for something clear somewhere; known when all rows were read."""
        return self.alpha_note.is_used

    def check(self) -> None:
        """Raise what went wrong while rows were read."""
        if self._feed and self._feed.error:
            raise self._feed.error

    def end(self) -> None:
        """Give up what is needed to read more rows, at once."""
        if self._feed:
            self._feed.end()


def strips_of_rows(image: Any, mode: str) -> Iterator[Image.Image]:
    """Yield the strips of an image of libvips, which are of Pillow's `mode`."""
    region = pyvips.Region.new(image)
    for top in range(0, image.height, ROWS_AT_ONCE):
        height = min(image.height - top, ROWS_AT_ONCE)
        yield Image.frombytes(mode, (image.width, height), region.fetch(0, top, image.width, height))


def from_strips(strips: Iterator[Image.Image], size: tuple[int, int], mode: str, pages: int) -> FullSize:
    """Return an image of rows that come in strips, all of `mode`, which is L or RGB."""
    (width, height), bands = size, len(mode)
    lengths = [width * bands * min(ROWS_AT_ONCE, height - top) for top in range(0, height, ROWS_AT_ONCE)]
    colours = short(PHOTOMETRIC, _RGB if mode == "RGB" else _BLACK_IS_ZERO)
    tags = dict([short(BITS, *[8] * bands), short(SAMPLES, bands), colours])
    feed = Feed(tiff_head(size, ROWS_AT_ONCE, lengths, tags), sum(lengths), (strip.tobytes() for strip in strips))
    image = pyvips.Image.tiffload_source(feed.source, access="sequential", fail_on="error")
    return FullSize(image, pages, feed)
