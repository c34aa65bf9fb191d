"""Everything that Pillow, or a plugin of it, reads."""

import importlib
from typing import IO

from PIL import Image, ImageFile

from was_daemon.thumbnails.kinds import Kind
from was_daemon.thumbnails.picture import Picture, black_and_white, check_pixels, reduction

Image.MAX_IMAGE_PIXELS = None  # check_pixels is the limit

_PLUGINS = {
    Kind.JPEG: "Jpeg",
    Kind.PNG: "Png",
    Kind.GIF: "Gif",
    Kind.WEBP: "WebP",
    Kind.BMP: "Bmp",
    Kind.AVIF: "Avif",
    Kind.JPEG2000: "Jpeg2K",
    Kind.PSD: "Psd",
    Kind.TIFF: "Tiff",
}
_LARGE = 50_000_000
"""Pixels of a PNG above which it is streamed: Pillow would hold 200 MB of it."""

_LEVELS = 5
"""Reductions by two that a JPEG 2000 file usually holds; asking for more than there are is an error."""

_ORIENTATION = 0x0112


def decode(source: str | IO[bytes], kind: Kind, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """By Pillow; what is missing is grey or black when `tolerant`.

    Raises `BrokenImage` for too many pixels, MemoryError, and anything else for a damaged file.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
    with _open(source, kind) as image:
        check_pixels(image.size, max_pixels)
        if kind is Kind.PNG and image.width * image.height > _LARGE and isinstance(source, str):
            from was_daemon.thumbnails.large import read_png

            return read_png(source, box, max_pixels, tolerant)
        factor = reduction(image.size, box)
        if kind is Kind.JPEG:
            image.draft(None, (max(1, int(image.width / factor)), max(1, int(image.height / factor))))
        if kind is Kind.JPEG2000 and factor >= 2 and not tolerant:
            setattr(image, "reduce", min(int(factor).bit_length() - 1, _LEVELS))  # noqa: B010 - of its plugin only
        orientation = _orientation(image)
        image.load()
        return Picture(_plain(image), image.info.get("icc_profile"), orientation)


def _open(source: str | IO[bytes], kind: Kind) -> Image.Image:
    if kind is Kind.HEIF:
        from pillow_heif import HeifImageFile

        return HeifImageFile(source)
    importlib.import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    return Image.open(source, formats=[kind.name])


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF raises anything, and does not matter
        return 1


def _plain(image: Image.Image) -> Image.Image:
    """`image` in a mode that `Picture` allows."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _eight_bits(image)
    if "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.mode in ("PA", "RGBa", "La") else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;"):
        black, white = 0.0, 65535.0
        image = image.convert("I")
    else:
        black, white = black_and_white(*image.getextrema())
    scale = 255 / (white - black)
    return image.convert("F").point(lambda value: value * scale + (0.5 - black * scale)).convert("L")
