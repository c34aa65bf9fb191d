"""Choice of the library that reads a file, by the file's content."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from posixpath import splitext
from typing import Any, BinaryIO

import attrs

from was_daemon.imaging.file_types import (
    HEAD_SIZE,
    RAW_EXTENSIONS,
    FileType,
    detect_file_type,
    has_image_extension,
    unsupported_reason,
)
from was_daemon.imaging.picture import Picture, is_uniform, without_clear_alpha
from was_daemon.imaging.pillow import decode
from was_daemon.imaging.webp import read_webp
from was_daemon.model.errors import BrokenImage, NoThumbnail, UnreadableImage

_Reader = Callable[..., Picture]
"""Reader, called with the keyword `tolerant`. Its `BrokenImage` is final; after other exceptions the next one tries."""

_Attempt = partial[Picture]
"""Reader with a value for `tolerant`."""


def read_picture(source: BinaryIO, name: str, box: int, max_pixels: int) -> Picture:
    """Read the picture in the file `source`, for thumbnails of up to `box` pixels.

    `name` is the asset's name, whose extension may claim an image. Raises `NoThumbnail`, `BrokenImage`, MemoryError.
    """
    source.seek(0)
    head = source.read(HEAD_SIZE)
    file_type = detect_file_type(head)
    if file_type and (reason := unsupported_reason(file_type, source)):
        raise BrokenImage(reason)
    if file_type is None:
        if not has_image_extension(name):
            raise NoThumbnail("there are no thumbnails for this kind of file")
        raise BrokenImage("the file is empty" if not head else "the content is not that of an image")
    if file_type is FileType.PDF:
        from was_daemon.imaging.pdf import read_pdf

        return read_pdf(source, box)
    if file_type is FileType.RAW:
        from was_daemon.imaging.raw import read_raw

        return read_raw(source, box, max_pixels)
    if file_type is FileType.TIFF:
        return _read_tiff(source, name, box, max_pixels)
    return _first_success(file_type, _attempts(source, file_type, box, max_pixels))


def _attempts(source: BinaryIO, file_type: FileType, box: int, max_pixels: int) -> list[_Attempt]:
    """Return the ways to read a file of this type; Pillow first, which needs the least time and memory."""
    pillow = partial(decode, source, file_type, box, max_pixels)
    if file_type is FileType.JPEG:
        # Pillow shows more of one that ends too early; libvips reads one that Pillow does not take for a JPEG.
        return _by_tolerance(pillow) + _by_tolerance(partial(_read_damaged_jpeg, source, box, max_pixels))
    if file_type is FileType.JPEG2000:
        return _by_tolerance(pillow, partial(pillow, reduced=False))
    if file_type is FileType.WEBP:
        return _by_tolerance(partial(read_webp, source, box, max_pixels), pillow)
    if file_type is FileType.BMP:
        return _by_tolerance(pillow, partial(_read_bit_fields, source, box, max_pixels))
    if file_type is FileType.PSD:
        from was_daemon.imaging import photoshop

        composite = partial(photoshop.read_deep, source, box, max_pixels)
        preview = partial(photoshop.read_preview, source, box, max_pixels)
        return _by_tolerance(composite if photoshop.depth(source) == photoshop.DEEP else pillow, preview)
    return _by_tolerance(pillow)


def _read_damaged_jpeg(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    from was_daemon.imaging.vips import read_jpeg

    return read_jpeg(source, box, max_pixels, tolerant)


def _read_bit_fields(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    from was_daemon.imaging.bmp import read_bit_fields

    return read_bit_fields(source, box, max_pixels, tolerant)


def _by_tolerance(*readers: _Reader) -> list[_Attempt]:
    """Return attempts at the whole file by each reader, and then at what there is of it."""
    return [partial(reader, tolerant=tolerant) for tolerant in (False, True) for reader in readers]


def _read_tiff(source: BinaryIO, name: str, box: int, max_pixels: int) -> Picture:
    """Read a TIFF with libvips, which needs little memory, or with Pillow, which knows other compressions."""
    from was_daemon.imaging import tiff
    from was_daemon.imaging.raw import read_raw

    directories = tiff.directories(source)
    if tiff.is_raw(directories):
        return read_raw(source, box, max_pixels)
    if splitext(name)[1].lower() in RAW_EXTENSIONS:
        return _read_tiff_of_camera(source, box, max_pixels, directories)
    return _read_tiff_pages(source, box, max_pixels, directories)


def _read_tiff_of_camera(source: BinaryIO, box: int, max_pixels: int, directories: list[Any]) -> Picture:
    """Read a TIFF whose name says that a camera wrote it: as its RAW file, or as any other TIFF, or its preview."""
    from was_daemon.imaging.raw import read_by_libraw
    from was_daemon.imaging.raw_preview import read_preview

    with suppress(BrokenImage):
        if picture := read_by_libraw(source, box, max_pixels):
            return picture
    try:
        return _read_tiff_pages(source, box, max_pixels, directories)
    except BrokenImage:
        if picture := read_preview(source, box, max_pixels):
            return picture
        raise


def _read_tiff_pages(source: BinaryIO, box: int, max_pixels: int, directories: list[Any]) -> Picture:
    """Read the first page of a TIFF."""
    from was_daemon.imaging import tiff, vips

    if reason := tiff.unsupported_reason(directories):
        raise BrokenImage(reason)
    pillow = partial(decode, source, FileType.TIFF, box, max_pixels)
    libvips = partial(vips.read_tiff, source, box, max_pixels, page=tiff.first_page(directories))
    readers = [pillow] if tiff.is_misread_by_libvips(directories) else [libvips, pillow]
    try:
        return _first_success(FileType.TIFF, _by_tolerance(*readers))
    except UnreadableImage:
        if reason := tiff.unusual_form(directories):
            raise BrokenImage(reason) from None
        raise


def _first_success(file_type: FileType, attempts: list[_Attempt]) -> Picture:
    """Return the picture of the first attempt that shows anything.

    A whole picture of one colour is believed when no other attempt at the whole file shows more.
    """
    uniform = None
    short_of_memory = False
    for attempt in attempts:
        is_tolerant = attempt.keywords["tolerant"]
        if uniform and is_tolerant:
            break
        try:
            picture = attempt()
        except BrokenImage:
            raise
        except MemoryError:
            short_of_memory = True
            continue
        except Exception as error:  # damaged files make decoders raise anything; the next reader tries
            short_of_memory = short_of_memory or "memory" in str(error).lower()
            continue
        picture = attrs.evolve(picture, image=without_clear_alpha(picture.image))
        if not is_uniform(picture.image):
            return picture
        if not is_tolerant:
            uniform = uniform or picture
    if uniform:
        return uniform
    if short_of_memory:
        raise MemoryError
    raise UnreadableImage(f"the {file_type.value} data is damaged or ends too early to show anything")
