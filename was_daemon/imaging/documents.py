"""PDF: the first page, by PDFium."""

from mmap import ACCESS_READ, mmap
from typing import BinaryIO

import pypdfium2

from was_daemon.imaging.picture import OVERSAMPLING, Picture
from was_daemon.model.errors import BrokenImage

_SHARP = 2048
"""Up to this many pixels per side a page is drawn larger than asked for, and scaled down: thin lines stay even."""


def read_pdf(source: BinaryIO, box: int) -> Picture:
    """The first page on white, drawn to fill the box: a page has no pixels of its own."""
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        # For a document without pages PDFium repeats the error of the one before.
        if "password" in str(error).lower() and _is_encrypted(source):
            raise BrokenImage("the PDF is protected by a password") from None
        raise BrokenImage("the PDF is damaged or has no pages") from None
    try:
        page = document[0]
        longest = max(page.get_size())
        pixels = max(box, min(box * OVERSAMPLING, _SHARP))
        return Picture(page.render(scale=pixels / longest).to_pil().convert("RGB"))
    except (pypdfium2.PdfiumError, IndexError, ZeroDivisionError, ValueError):
        raise BrokenImage("the first page of the PDF cannot be drawn") from None
    finally:
        document.close()


def _is_encrypted(source: BinaryIO) -> bool:
    with mmap(source.fileno(), 0, access=ACCESS_READ) as data:
        return data.find(b"/Encrypt") >= 0
