"""Pictures that are read in strips of rows, from top to bottom, as images of libvips."""

from collections.abc import Iterator
from typing import Any

import attrs
from PIL import Image

from was_daemon.imaging.plain_png import png_of
from was_daemon.imaging.vips import pyvips

ROWS_AT_ONCE = 64
"""Number of rows of a strip."""


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
    _feed: "_Feed | None" = None
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
    """Return an image of rows that come in strips, all of `mode`."""
    feed = _Feed(png_of(strips, size, mode))
    image = pyvips.Image.pngload_source(feed.source, access="sequential", fail_on="error")
    return FullSize(image, pages, feed)


class _Feed:
    """A file that libvips reads while it is made."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = memoryview(b"")
        self.error: Exception | None = None
        # As long as libvips reads; pyvips does not keep it.
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._read)

    def end(self) -> None:
        """Read no more; libvips, which can call this object, and it know of each other, and stay for a while."""
        self._parts, self._rest = iter(()), memoryview(b"")

    def _read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end, and after an error."""
        try:
            while not self._rest:
                self._rest = memoryview(next(self._parts))
        except StopIteration:
            return b""
        except Exception as error:  # libvips, which calls this, would print it
            self.error = error
            return b""
        data, self._rest = self._rest[:size], self._rest[size:]
        return bytes(data)
