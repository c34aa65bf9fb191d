"""First page of a PDF, drawn by PDFium."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from mmap import ACCESS_READ, mmap
from typing import Any, BinaryIO

import pypdfium2
from PIL import Image
from pypdfium2 import raw

from was_daemon.imaging.jpeg2000 import decomposition_levels
from was_daemon.imaging.picture import OVERSAMPLING, Picture, check_pixels, is_uniform
from was_daemon.model.errors import AssetNotFound, BrokenImage, UnreadableImage

_MAX_OVERSAMPLED = 2048
"""Pixels per side up to which a page is drawn larger than needed and then scaled down: thin lines stay even."""

_SECOND_LOOK = 4096
"""Pixels of the longer side at which a page is drawn again when nothing is seen of its content."""

_MAX_DRAWN = 8192
"""Pixels of the longer side beyond which no page is drawn for the sake of its images."""

_MAX_OBJECTS = 2000
"""Objects of a page among which images are looked for, of 10 µs each. A scan comes before the words that it shows."""

_FINE_PRINT = 300 / 72
"""Pixels per point at which the finest print of a page can be read."""

_LEAST_CLOSE = 2048
"""Pixels of the longer side that a page has at least when it is looked at closely."""

_NO_FIELD = -1
"""PDFium's type of a form field that is not in the form."""

_ENCRYPTED = (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)


def read_pdf(source: BinaryIO, box: int) -> Picture:
    """Draw the first page, with its form fields, on white so that it fills a box of `box` pixels.

    Raises `BrokenImage`. A PDF that opens with the empty password counts as not encrypted.
    """
    with _opened(source) as document:
        page = _load_page(document, 0)
        longest = max(page.get_size())
        pixels = max(box, min(box * OVERSAMPLING, _MAX_OVERSAMPLED), min(_least_scale(page) * longest, _MAX_DRAWN))
        image = _draw(page, pixels / longest)
        if pixels < _SECOND_LOOK and is_uniform(image) and _has_content(page):
            image = _draw(page, _SECOND_LOOK / longest)
        return Picture(image, proportions=page.get_size())


def read_page(source: BinaryIO, number: int, max_pixels: int) -> tuple[Image.Image, int]:
    """Draw a page on white, large enough to be looked at closely; return it, and the number of pages.

    The first page is 0. Raises `BrokenImage`, and `AssetNotFound` when there is no such page.
    """
    with _opened(source) as document:
        if number >= len(document):
            raise AssetNotFound("there is no such page")
        page = _load_page(document, number)
        longest = max(page.get_size())
        pixels = _close_pixels(longest, _least_scale(page))
        width, height = page.get_size()
        check_pixels((round(width * pixels / longest) or 1, round(height * pixels / longest) or 1), max_pixels)
        return _draw(page, pixels / longest), len(document)


def page_sizes(source: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield width and height of each page as `read_page` draws it; with JPEG 2000 images it may be larger."""
    with _opened(source) as document:
        for number in range(len(document)):
            width, height = document.get_page_size(number)
            scale = _close_pixels(max(width, height)) / max(width, height)
            yield math.ceil(width * scale), math.ceil(height * scale)


def _close_pixels(longest: float, least_scale: float = 0) -> float:
    """Return the pixels of the longer side, of `longest` points, of a page that is looked at closely."""
    return min(max(_LEAST_CLOSE, max(_FINE_PRINT, least_scale) * longest), _MAX_DRAWN)


@contextmanager
def _opened(source: BinaryIO) -> Iterator[Any]:
    """Open a document for as long as the context lasts; raise `BrokenImage` for what goes wrong with it."""
    source.seek(0)
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        # For a document without pages PDFium reports the previous document's error, which may be about a password.
        if error.err_code in _ENCRYPTED and _is_encrypted(source):
            raise BrokenImage("the PDF is protected by a password") from None
        raise UnreadableImage("the PDF is damaged or has no pages") from None
    try:
        # Before any page is loaded.
        document.init_forms()
        yield document
    except (pypdfium2.PdfiumError, IndexError, ZeroDivisionError, ValueError):
        raise UnreadableImage("the page of the PDF cannot be drawn") from None
    finally:
        document.close()


def _load_page(document: Any, number: int) -> Any:
    """Return a page; form fields that are no part of the document's form become part of the page."""
    page = document[number]
    # PDFium draws the fields of forms only, and only those that say what kind they are of.
    if any(_is_loose_field(document, page, annotation) for annotation in _annotations(page)):
        raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)
        page.close()
        page = document[number]
    return page


def _annotations(page: Any) -> range:
    return range(raw.FPDFPage_GetAnnotCount(page))


def _is_loose_field(document: Any, page: Any, number: int) -> bool:
    annotation = raw.FPDFPage_GetAnnot(page, number)
    try:
        if raw.FPDFAnnot_GetSubtype(annotation) != raw.FPDF_ANNOT_WIDGET:
            return False
        return document.formenv is None or raw.FPDFAnnot_GetFormFieldType(document.formenv, annotation) == _NO_FIELD
    finally:
        raw.FPDFPage_CloseAnnot(annotation)


def _has_content(page: Any) -> bool:
    return bool(_annotations(page)) or next(page.get_objects(max_depth=1), None) is not None


def _draw(page: Any, scale: float) -> Image.Image:
    image: Image.Image = page.render(scale=scale).to_pil().convert("RGB")
    return image


def _least_scale(page: Any) -> float:
    """Return the scale, in pixels per point, from which on PDFium shows all JPEG 2000 images of `page`.

    It skips as many of an image's resolutions as it takes to come near the size that is drawn, and draws nothing when
    there are not as many.
    """
    return max((_least_image_scale(image) for image in _jpeg2000_images(page)), default=0.0)


def _jpeg2000_images(page: Any) -> Iterator[Any]:
    for each in islice(page.get_objects(), _MAX_OBJECTS):
        if each.type == raw.FPDF_PAGEOBJ_IMAGE and "JPXDecode" in each.get_filters():
            yield each


def _least_image_scale(image: Any) -> float:
    levels = decomposition_levels(bytes(image.get_data(decode_simple=True)))
    if levels is None:
        return 0.0
    factor = 2 ** (levels + 1)
    scales = [
        (pixels / factor + 1) / points
        for pixels, points in zip(image.get_px_size(), _drawn_size(image), strict=True)
        if points > 0
    ]
    # One side is enough.
    return min(scales, default=0.0)


def _drawn_size(image: Any) -> tuple[float, float]:
    """Return width and height of an image on its page, in points."""
    matrix, container = image.get_matrix(), image.container
    while container is not None:
        matrix, container = matrix.multiply(container.get_matrix()), container.container
    return math.hypot(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d)


def _is_encrypted(source: BinaryIO) -> bool:
    with mmap(source.fileno(), 0, access=ACCESS_READ) as data:
        return data.find(b"/Encrypt") >= 0
