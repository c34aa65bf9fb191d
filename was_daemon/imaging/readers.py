"""A file becomes a picture, by the library that reads its kind of content."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from posixpath import splitext
from typing import BinaryIO

from PIL import Image

from was_daemon.imaging.kinds import HEAD_SIZE, RAW_EXTENSIONS, Kind, claims_image, kind_of, unsupported
from was_daemon.imaging.picture import Picture
from was_daemon.imaging.pillow import decode
from was_daemon.model.errors import BrokenImage, NoThumbnail

_Reader = Callable[..., Picture]
"""Called with `tolerant`; raises `BrokenImage` for what no other reader should try, and whatever else it likes."""


def read(source: BinaryIO, name: str, box: int, max_pixels: int) -> Picture:
    """The picture in the file `source`, for thumbnails of up to `box` pixels.

    Raises `NoThumbnail`, `BrokenImage`, MemoryError.
    """
    source.seek(0)
    head = source.read(HEAD_SIZE)
    kind = kind_of(head)
    if kind and (reason := unsupported(kind, source)):
        raise BrokenImage(reason)
    if kind is None:
        if not claims_image(name):
            raise NoThumbnail("there are no thumbnails for this kind of file")
        raise BrokenImage("the file is empty" if not head else "the content is not that of an image")
    if kind is Kind.PDF:
        from was_daemon.imaging.documents import read_pdf

        return read_pdf(source, box)
    if kind is Kind.RAW:
        from was_daemon.imaging.raw import read_raw

        return read_raw(source, box, max_pixels)
    if kind is Kind.TIFF:
        return _read_tiff(source, name, box, max_pixels)
    return _first_success(kind, [partial(decode, source, kind, box, max_pixels)])


def _read_tiff(source: BinaryIO, name: str, box: int, max_pixels: int) -> Picture:
    """libvips needs the least memory; Pillow reads some compressions that it does not."""
    from was_daemon.imaging import large, tiff
    from was_daemon.imaging.raw import read_raw

    directories = tiff.directories(source)
    if tiff.is_raw(directories):
        return read_raw(source, box, max_pixels)
    if splitext(name)[1].lower() in RAW_EXTENSIONS:
        with suppress(BrokenImage):
            return read_raw(source, box, max_pixels)
    if reason := tiff.unsupported(directories):
        raise BrokenImage(reason)
    readers: list[_Reader] = [
        partial(large.read_tiff, source, box, max_pixels, page=tiff.first_page(directories)),
        partial(decode, source, Kind.TIFF, box, max_pixels),
    ]
    return _first_success(Kind.TIFF, readers)


def _first_success(kind: Kind, readers: list[_Reader]) -> Picture:
    """What the first of `readers` makes of a whole file, else the first that sees something in a damaged one."""
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
            except Exception as error:  # damaged files make decoders raise anything, and there is another way
                short_of_memory = short_of_memory or "memory" in str(error).lower()
                continue
            if not tolerant or not _is_blank(picture.image):
                return picture
    if short_of_memory:
        raise MemoryError
    raise BrokenImage(f"the {kind.value} data is damaged or ends too early to show anything")


def _is_blank(image: Image.Image) -> bool:
    return all(band.getextrema()[0] == band.getextrema()[1] for band in image.convert("RGB").split())
