"""First page of a PDF, drawn by PDFium."""

from mmap import ACCESS_READ, mmap
from typing import BinaryIO

import pypdfium2

from was_daemon.imaging.picture import OVERSAMPLING, Picture
from was_daemon.model.errors import BrokenImage, UnreadableImage

_MAX_OVERSAMPLED = 2048
"""Pixels per side up to which a page is drawn larger than needed and then scaled down: thin lines stay even."""


def read_pdf(source: BinaryIO, box: int) -> Picture:
    """Draw the first page on white so that it fills a box of `box` pixels; raise `BrokenImage`."""
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        # For a document without pages PDFium reports the previous document's error, which may be about a password.
        if "password" in str(error).lower() and _is_encrypted(source):
            raise BrokenImage("the PDF is protected by a password") from None
        raise UnreadableImage("the PDF is damaged or has no pages") from None
    try:
        page = document[0]
        longest = max(page.get_size())
        pixels = max(box, min(box * OVERSAMPLING, _MAX_OVERSAMPLED))
        return Picture(page.render(scale=pixels / longest).to_pil().convert("RGB"))
    except (pypdfium2.PdfiumError, IndexError, ZeroDivisionError, ValueError):
        raise UnreadableImage("the first page of the PDF cannot be drawn") from None
    finally:
        document.close()


def _is_encrypted(source: BinaryIO) -> bool:
    with mmap(source.fileno(), 0, access=ACCESS_READ) as data:
        return data.find(b"/Encrypt") >= 0
