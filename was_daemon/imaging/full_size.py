"""Pictures of full size: upright, in sRGB, on white, as images of libvips.

JPEG, TIFF and PNG are read row by row, so that a picture needs little memory, whatever its size. All other types, and
damaged files, are read into memory as for thumbnails.
"""

from collections.abc import Callable, Iterator
from functools import partial
from posixpath import splitext
from typing import BinaryIO, Protocol

import attrs
from PIL import Image

from was_daemon.imaging import tiff
from was_daemon.imaging.colour import to_srgb
from was_daemon.imaging.file_types import HEAD_SIZE, RAW_EXTENSIONS, FileType, detect_file_type, unsupported_reason
from was_daemon.imaging.picture import upright
from was_daemon.imaging.readers import read_picture
from was_daemon.imaging.strips import ROWS_AT_ONCE, AlphaNote, FullSize, from_strips, strips_of_rows
from was_daemon.imaging.turning import turned
from was_daemon.imaging.vips import Rows, directories_of_tiff, stream_jpeg, stream_png, stream_tiff
from was_daemon.imaging.writers import flatten
from was_daemon.model.errors import AssetNotFound, BrokenImage

_ANY_SIZE = 1 << 20
"""A box for which no picture is reduced."""

_OPAQUE = ("L", "RGB")
_WITH_ALPHA = ("LA", "RGBA")
_ALL_OPAQUE = (255, 255)


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
    pages = tiff.page_directories(source, count)
    require_page(page, len(pages))
    number = pages[page - 1]
    stream = partial(stream_tiff, source, max_pixels, page=tiff.page_in(source, number), directory=number)
    strict, tolerant = (partial(_read_rows, partial(stream, tolerant=each), pages=len(pages)) for each in (False, True))
    return [strict, tolerant] if number else [strict, partial(whole, pages=len(pages)), tolerant]


def _is_raw(source: BinaryIO, name: str) -> bool:
    return splitext(name)[1].lower() in RAW_EXTENSIONS or tiff.is_raw(tiff.directories(source))


def _read_pdf(source: BinaryIO, page: int, max_pixels: int, *, alpha: bool = False) -> FullSize:
    from was_daemon.imaging.pdf import read_page

    image, pages = read_page(source, page - 1, max_pixels)
    return from_strips(_strips_of(image), image.size, "RGB", pages)


def _read_whole(source: BinaryIO, name: str, max_pixels: int, pages: int = 1, *, alpha: bool = False) -> FullSize:
    """Read the first page into memory, as for thumbnails."""
    picture = read_picture(source, name, _ANY_SIZE, max_pixels)
    image, profile = upright(picture.image, picture.orientation), picture.profile
    return _converted(_strips_of(image), image.size, image.mode, profile, pages, alpha)


def _strips_of(image: Image.Image) -> Iterator[Image.Image]:
    for top in range(0, image.height, ROWS_AT_ONCE):
        yield image.crop((0, top, image.width, min(image.height, top + ROWS_AT_ONCE)))


def _read_rows(stream: Callable[[], Rows], pages: int = 1, *, alpha: bool = False) -> FullSize:
    """Read the picture of which `stream` opens the rows, as often as it is called."""
    rows = stream()
    read = partial(_as_stored, stream, pages, alpha)
    return turned(_as_stored(lambda: rows, pages, alpha), read, rows.orientation)


def _as_stored(stream: Callable[[], Rows], pages: int, alpha: bool) -> FullSize:
    """Return what rows show, not turned."""
    rows = stream()
    if not rows.profile and rows.mode in _OPAQUE:
        return FullSize(rows.image, pages, rows.feed)
    size = (rows.image.width, rows.image.height)
    return _converted(_strips_from(rows), size, rows.mode, rows.profile, pages, alpha)


def _strips_from(rows: Rows) -> Iterator[Image.Image]:
    try:
        yield from strips_of_rows(rows.image, rows.mode)
    except Exception:
        if rows.feed and rows.feed.error:
            raise rows.feed.error from None
        raise
    finally:
        if rows.feed:
            rows.feed.end()


def _converted(
    strips: Iterator[Image.Image], size: tuple[int, int], mode: str, profile: bytes | None, pages: int, alpha: bool
) -> FullSize:
    """Return strips of Pillow's `mode` in sRGB on white, or with `alpha` their alpha channels."""
    if alpha:
        return from_strips((strip.getchannel("A") for strip in strips), size, "L", pages)
    note = AlphaNote()
    opaque = (_to_opaque_srgb(strip, profile, note) for strip in strips)
    picture = from_strips(opaque, size, "L" if mode in ("L", "LA") else "RGB", pages)
    return attrs.evolve(picture, alpha_note=note)


def _to_opaque_srgb(image: Image.Image, profile: bytes | None, note: AlphaNote) -> Image.Image:
    if image.mode in _WITH_ALPHA and image.getchannel("A").getextrema() != _ALL_OPAQUE:
        note.is_used = True
    return flatten(to_srgb(image, profile))
