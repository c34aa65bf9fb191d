"""Pictures of full size: upright, in sRGB, on white, as images of libvips.

JPEG, TIFF and PNG are read row by row, so that a picture needs little memory, whatever its size. All other types, and
damaged files, are read into memory as for thumbnails.
"""

from collections.abc import Callable, Iterator
from functools import partial
from posixpath import splitext
from typing import Any, BinaryIO

import attrs
from PIL import Image

from was_daemon.imaging import tiff
from was_daemon.imaging.colour import to_srgb
from was_daemon.imaging.file_types import HEAD_SIZE, RAW_EXTENSIONS, FileType, detect_file_type, unsupported_reason
from was_daemon.imaging.picture import upright
from was_daemon.imaging.plain_png import png_of
from was_daemon.imaging.readers import read_picture
from was_daemon.imaging.vips import Rows, directories_of_tiff, pyvips, stream_jpeg, stream_png, stream_tiff
from was_daemon.imaging.writers import flatten
from was_daemon.model.errors import AssetNotFound, BrokenImage

_ANY_SIZE = 1 << 20
"""A box for which no picture is reduced."""

_ROWS_AT_ONCE = 256
_OPAQUE = ("L", "RGB")

_TURNS: dict[int, Callable[[Any], Any]] = {
    2: lambda image: image.fliphor(),
    3: lambda image: image.rot180(),
    4: lambda image: image.flipver(),
    5: lambda image: image.rot90().fliphor(),
    6: lambda image: image.rot90(),
    7: lambda image: image.rot270().fliphor(),
    8: lambda image: image.rot270(),
}
"""What makes a picture upright, by its EXIF orientation."""

_ROW_BY_ROW = (1, 2)
"""Orientations in which the rows of a picture are those of the file."""


@attrs.frozen
class FullSize:
    """One page of a file: an image of one or three bands of bytes, to be read once, from top to bottom.

    `pages` is the number of pages of the file.
    """

    image: Any
    pages: int
    _feed: "_Feed | None" = None

    def check(self) -> None:
        """Raise what went wrong while rows were read."""
        if self._feed and self._feed.error:
            raise self._feed.error


Reader = Callable[[], FullSize]


def readers(source: BinaryIO, name: str, page: int, max_pixels: int) -> list[Reader]:
    """Return the ways to read a page of a file, the best first; each may fail, also while its rows are read.

    `name` is the asset's name; the first page is 1. Raises `AssetNotFound` when there is no such page, `NoThumbnail`
    and `BrokenImage`.
    """
    source.seek(0)
    file_type = detect_file_type(source.read(HEAD_SIZE))
    if file_type and (reason := unsupported_reason(file_type, source)):
        raise BrokenImage(reason)
    if file_type is FileType.PDF:
        return [partial(_read_pdf, source, page, max_pixels)]
    if file_type is FileType.TIFF and not _is_raw(source, name):
        return _tiff_readers(source, name, page, max_pixels)
    require_page(page, 1)
    whole = partial(_read_whole, source, name, max_pixels)
    if file_type is FileType.JPEG:
        stream = partial(stream_jpeg, source, max_pixels)
    elif file_type is FileType.PNG:
        stream = partial(stream_png, source, max_pixels)
    else:
        return [whole]
    return [lambda: _streamed(stream(tolerant=False)), whole, lambda: _streamed(stream(tolerant=True))]


def require_page(page: int, count: int) -> None:
    """Raise `AssetNotFound` unless there is a page of that number."""
    if not 1 <= page <= count:
        raise AssetNotFound("there is no such page")


def _tiff_readers(source: BinaryIO, name: str, page: int, max_pixels: int) -> list[Reader]:
    directories = tiff.directories(source)
    whole = partial(_read_whole, source, name, max_pixels)
    if tiff.is_misread_by_libvips(directories):
        require_page(page, 1)
        return [whole]
    try:
        count = directories_of_tiff(source)
    except OSError:
        # Pillow may read it.
        require_page(page, 1)
        return [whole]
    pages = tiff.page_directories(directories, count)
    require_page(page, len(pages))
    number = pages[page - 1]
    stream = partial(stream_tiff, source, max_pixels, page=tiff.page_in(directories, number), directory=number)
    strict, tolerant = (partial(_streamed_tiff, stream, len(pages), each) for each in (False, True))
    return [strict, tolerant] if number else [strict, partial(whole, pages=len(pages)), tolerant]


def _streamed_tiff(stream: Callable[..., Rows], pages: int, tolerant: bool) -> FullSize:
    return _streamed(stream(tolerant=tolerant), pages)


def _is_raw(source: BinaryIO, name: str) -> bool:
    return splitext(name)[1].lower() in RAW_EXTENSIONS or tiff.is_raw(tiff.directories(source))


def _read_pdf(source: BinaryIO, page: int, max_pixels: int) -> FullSize:
    from was_daemon.imaging.pdf import read_page

    image, pages = read_page(source, page - 1, max_pixels)
    return _from_strips(_strips_of(image), image.size, "RGB", pages)


def _read_whole(source: BinaryIO, name: str, max_pixels: int, pages: int = 1) -> FullSize:
    """Read the first page into memory, as for thumbnails."""
    picture = read_picture(source, name, _ANY_SIZE, max_pixels)
    image, profile = upright(picture.image, picture.orientation), picture.profile
    strips = (_to_opaque_srgb(strip, profile) for strip in _strips_of(image))
    return _from_strips(strips, image.size, _opaque_mode(image.mode), pages)


def _strips_of(image: Image.Image) -> Iterator[Image.Image]:
    for top in range(0, image.height, _ROWS_AT_ONCE):
        yield image.crop((0, top, image.width, min(image.height, top + _ROWS_AT_ONCE)))


def _streamed(rows: Rows, pages: int = 1) -> FullSize:
    """Return what `rows` show."""
    image = rows.image
    if not rows.profile and rows.mode in _OPAQUE:
        return FullSize(_turned(image, rows.orientation), pages)
    strips = (_to_opaque_srgb(strip, rows.profile) for strip in _strips_of_rows(rows))
    converted = _from_strips(strips, (image.width, image.height), _opaque_mode(rows.mode), pages)
    return attrs.evolve(converted, image=_turned(converted.image, rows.orientation))


def _strips_of_rows(rows: Rows) -> Iterator[Image.Image]:
    image = rows.image
    region = pyvips.Region.new(image)
    for top in range(0, image.height, _ROWS_AT_ONCE):
        height = min(image.height - top, _ROWS_AT_ONCE)
        yield Image.frombytes(rows.mode, (image.width, height), region.fetch(0, top, image.width, height))


def _to_opaque_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    return flatten(to_srgb(image, profile))


def _opaque_mode(mode: str) -> str:
    return "L" if mode in ("L", "LA") else "RGB"


def _from_strips(strips: Iterator[Image.Image], size: tuple[int, int], mode: str, pages: int) -> FullSize:
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


def _turned(image: Any, orientation: int) -> Any:
    """Return `image` upright; in memory, unless its rows can be taken as they come."""
    if orientation not in _TURNS:
        return image
    return _TURNS[orientation](image if orientation in _ROW_BY_ROW else image.copy_memory())
