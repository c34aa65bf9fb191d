"""Pictures of full size: upright, in sRGB, on white, as images of libvips.

JPEG, TIFF and PNG are read row by row, so that a picture needs little memory, whatever its size. All other types, and
damaged files, are read into memory as for thumbnails.
"""

import resource
from collections.abc import Callable, Iterator
from functools import partial
from posixpath import splitext
from typing import Any, BinaryIO, Protocol

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
_WITH_ALPHA = ("LA", "RGBA")
_ALL_OPAQUE = (255, 255)

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

_SIDEWAYS = (5, 6, 7, 8)
"""Orientations in which the rows of a picture are columns of the file."""

_FROM_THE_END = (3, 4, 7, 8)
"""Orientations in which the first row of a picture is the last row or column of the file."""


_LARGEST_PART = 256 << 20
"""Bytes of pixels that are held to turn a picture, or a quarter of the memory that this process may use.

A larger picture is read several times, each time for another part.
"""


@attrs.define
class _Alpha:
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
    _alpha: _Alpha = attrs.field(factory=_Alpha)

    @property
    def mode(self) -> str:
        """Pillow's mode."""
        return "L" if self.image.bands == 1 else "RGB"

    @property
    def has_alpha(self) -> bool:
        """Whether white stands for something clear somewhere; known when all rows were read."""
        return self._alpha.is_used

    def check(self) -> None:
        """Raise what went wrong while rows were read."""
        if self._feed and self._feed.error:
            raise self._feed.error


class Reader(Protocol):
    """One way to read a page of a file."""

    def __call__(self, *, alpha: bool = False) -> FullSize:
        """Open the picture on white; with `alpha`, its alpha channel instead, which it must have."""


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
    strict, tolerant = (partial(_read_rows, partial(stream, tolerant=each)) for each in (False, True))
    return [strict, whole, tolerant]


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
    strict, tolerant = (partial(_read_rows, partial(stream, tolerant=each), pages=len(pages)) for each in (False, True))
    return [strict, tolerant] if number else [strict, partial(whole, pages=len(pages)), tolerant]


def _is_raw(source: BinaryIO, name: str) -> bool:
    return splitext(name)[1].lower() in RAW_EXTENSIONS or tiff.is_raw(tiff.directories(source))


def _read_pdf(source: BinaryIO, page: int, max_pixels: int, *, alpha: bool = False) -> FullSize:
    from was_daemon.imaging.pdf import read_page

    image, pages = read_page(source, page - 1, max_pixels)
    return _from_strips(_strips_of(image), image.size, "RGB", pages)


def _read_whole(source: BinaryIO, name: str, max_pixels: int, pages: int = 1, *, alpha: bool = False) -> FullSize:
    """Read the first page into memory, as for thumbnails."""
    picture = read_picture(source, name, _ANY_SIZE, max_pixels)
    image, profile = upright(picture.image, picture.orientation), picture.profile
    return _converted(_strips_of(image), image.size, image.mode, profile, pages, alpha)


def _strips_of(image: Image.Image) -> Iterator[Image.Image]:
    for top in range(0, image.height, _ROWS_AT_ONCE):
        yield image.crop((0, top, image.width, min(image.height, top + _ROWS_AT_ONCE)))


def _read_rows(stream: Callable[[], Rows], pages: int = 1, *, alpha: bool = False) -> FullSize:
    """Read the picture of which `stream` opens the rows, as often as it is called."""
    rows = stream()
    read = partial(_as_stored, stream, pages, alpha)
    return _turned(_as_stored(lambda: rows, pages, alpha), read, rows.orientation)


def _as_stored(stream: Callable[[], Rows], pages: int, alpha: bool) -> FullSize:
    """Return what rows show, not turned."""
    rows = stream()
    if not rows.profile and rows.mode in _OPAQUE:
        return FullSize(rows.image, pages)
    size = (rows.image.width, rows.image.height)
    return _converted(_strips_of_rows(rows.image, rows.mode), size, rows.mode, rows.profile, pages, alpha)


def _strips_of_rows(image: Any, mode: str) -> Iterator[Image.Image]:
    region = pyvips.Region.new(image)
    for top in range(0, image.height, _ROWS_AT_ONCE):
        height = min(image.height - top, _ROWS_AT_ONCE)
        yield Image.frombytes(mode, (image.width, height), region.fetch(0, top, image.width, height))


def _converted(
    strips: Iterator[Image.Image], size: tuple[int, int], mode: str, profile: bytes | None, pages: int, alpha: bool
) -> FullSize:
    """Return strips of Pillow's `mode` in sRGB on white, or with `alpha` their alpha channels."""
    if alpha:
        return _from_strips((strip.getchannel("A") for strip in strips), size, "L", pages)
    note = _Alpha()
    opaque = (_to_opaque_srgb(strip, profile, note) for strip in strips)
    picture = _from_strips(opaque, size, "L" if mode in ("L", "LA") else "RGB", pages)
    return attrs.evolve(picture, alpha=note)


def _to_opaque_srgb(image: Image.Image, profile: bytes | None, note: _Alpha) -> Image.Image:
    if image.mode in _WITH_ALPHA and image.getchannel("A").getextrema() != _ALL_OPAQUE:
        note.is_used = True
    return flatten(to_srgb(image, profile))


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


def _turned(stored: FullSize, read: Callable[[], FullSize], orientation: int) -> FullSize:
    """Return `stored` upright: as its rows come, or else held in memory, or else read several times by `read`."""
    turn = _TURNS.get(orientation)
    if turn is None:
        return stored
    if orientation in _ROW_BY_ROW:
        return attrs.evolve(stored, image=turn(stored.image))
    image = stored.image
    if image.width * image.height * image.bands <= _largest_part():
        return attrs.evolve(stored, image=turn(image.copy_memory()))
    size = (image.height, image.width) if orientation in _SIDEWAYS else (image.width, image.height)
    turned = _from_strips(_turned_in_parts(read, size, orientation, stored), size, stored.mode, stored.pages)
    return attrs.evolve(turned, alpha=stored._alpha)


def _largest_part() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _LARGEST_PART if limit == resource.RLIM_INFINITY else min(_LARGEST_PART, limit // 4)


def _turned_in_parts(
    read: Callable[[], FullSize], size: tuple[int, int], orientation: int, stored: FullSize
) -> Iterator[Image.Image]:
    """Yield strips of the upright picture, which has `size`; note the alpha of all parts as that of `stored`."""
    width, height = size
    rows = max(1, _largest_part() // (width * stored.image.bands))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        # The rows of the upright picture are rows or columns of the stored one, from its beginning or its end.
        start = height - top - count if orientation in _FROM_THE_END else top
        box = (start, 0, count, width) if orientation in _SIDEWAYS else (0, start, width, count)
        # Held by nothing here, so that its memory is free before the next part is read.
        yield from _strips_of_rows(_turned_part(read(), box, orientation, stored._alpha), stored.mode)


def _turned_part(whole: FullSize, box: tuple[int, int, int, int], orientation: int, note: _Alpha) -> Any:
    part = whole.image.crop(*box).copy_memory()
    whole.check()
    note.is_used |= whole.has_alpha
    return _TURNS[orientation](part)
