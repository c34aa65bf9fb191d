"""Choice of the library that reads a file, by the file's content."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from posixpath import splitext
from typing import Any, BinaryIO

from PIL import Image

from was_daemon.imaging.file_types import (
    HEAD_SIZE,
    RAW_EXTENSIONS,
    FileType,
    detect_file_type,
    has_image_extension,
    unsupported_reason,
)
from was_daemon.imaging.picture import Picture
from was_daemon.imaging.pillow import decode
from was_daemon.model.errors import BrokenImage, NoThumbnail

_Reader = Callable[..., Picture]
"""Reader, called with the keyword `tolerant`. Its `BrokenImage` is final; after other exceptions the next one tries."""


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
    readers: list[_Reader] = [partial(decode, source, file_type, box, max_pixels)]
    if file_type is FileType.WEBP:
        from was_daemon.imaging.webp import read_webp

        readers.insert(0, partial(read_webp, source, box, max_pixels))
    return _first_success(file_type, readers)


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
    readers: list[_Reader] = [
        partial(vips.read_tiff, source, box, max_pixels, page=tiff.first_page(directories)),
        partial(decode, source, FileType.TIFF, box, max_pixels),
    ]
    return _first_success(FileType.TIFF, readers)


def _first_success(file_type: FileType, readers: list[_Reader]) -> Picture:
    """Return the picture of the first reader that reads the whole file, or else of the first that shows part of it."""
    short_of_memory = False
    for tolerant in (False, True):
        for reader in readers:
            try:
                picture = reader(tolerant=tolerant)
            except BrokenImage:
                raise
            except MemoryError:
                short_of_memory = True
                continue
            except Exception as error:  # damaged files make decoders raise anything; the next reader tries
                short_of_memory = short_of_memory or "memory" in str(error).lower()
                continue
            if not tolerant or not _is_blank(picture.image):
                return picture
    if short_of_memory:
        raise MemoryError
    raise BrokenImage(f"the {file_type.value} data is damaged or ends too early to show anything")


def _is_blank(image: Image.Image) -> bool:
    return all(band.getextrema()[0] == band.getextrema()[1] for band in image.convert("RGB").split())
