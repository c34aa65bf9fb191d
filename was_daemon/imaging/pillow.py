"""Everything that Pillow, or a plugin of it, reads."""

import importlib
from contextlib import suppress
from typing import BinaryIO

from PIL import Image, ImageFile

from was_daemon.imaging.kinds import Kind
from was_daemon.imaging.picture import Picture, check_pixels, reduction

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
_PHOTOMETRIC = 262
_ICC_METHODS = (2, 3)


def decode(source: BinaryIO, kind: Kind, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """By Pillow; what is missing is grey or black when `tolerant`.

    Raises `BrokenImage` for too many pixels, MemoryError, and anything else for a damaged file.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
    with _open(source, kind) as image:
        size = image.size
        check_pixels(size, max_pixels)
        if kind is Kind.PNG and image.width * image.height > _LARGE:
            from was_daemon.imaging.large import read_png

            return read_png(source, box, max_pixels, tolerant)
        factor = reduction(size, box)
        if "progressive" in image.info:
            _demand_coefficients(image)
        wanted = (max(1, int(size[0] / factor)), max(1, int(size[1] / factor)))
        drafted = image.draft(None, wanted) if kind is Kind.JPEG else None
        extent = drafted[1][2:] if drafted else None
        is_reduced = kind is Kind.JPEG2000 and factor >= 2 and not tolerant
        if is_reduced:
            setattr(image, "reduce", min(int(factor).bit_length() - 1, _LEVELS))  # noqa: B010 - of its plugin only
        image.load()
        # Only now: Pillow turns a TIFF itself while it loads it, and says no more that it is to be turned.
        orientation = _orientation(image)
        return Picture(_plain(image), _profile(image, source), orientation, None if is_reduced else size, extent)


def _open(source: BinaryIO, kind: Kind) -> Image.Image:
    if kind is Kind.HEIF:
        from pillow_heif import HeifImageFile

        source.seek(0)
        return HeifImageFile(source)
    if kind is Kind.WEBP:
        _demand_canvases(source)
    importlib.import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    return Image.open(source, formats=[kind.name])


def _demand_canvases(source: BinaryIO) -> None:
    """MemoryError when there is no room for the two canvases that libwebp wants at once: Pillow cannot tell why not."""
    source.seek(0)
    head = source.read(30)
    if head[12:16] == b"VP8X" and len(head) == 30:
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif head[12:16] == b"VP8L":
        packed = int.from_bytes(head[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    bytes(2 * 4 * width * height)


def _demand_coefficients(image: Image.Image) -> None:
    """MemoryError when there is no room for a progressive JPEG: its decoder would call the file broken."""
    components = [(across, down) for _, across, down, _ in getattr(image, "layer")]  # noqa: B009 - of its plugin only
    most = max(across for across, _ in components) * max(down for _, down in components)
    samples = sum(across * down for across, down in components)
    bytes(2 * image.width * image.height * samples // most)


def _profile(image: Image.Image, source: BinaryIO) -> bytes | None:
    if image.format == "JPEG2000":
        with suppress(Exception):  # a codestream has no boxes, a damaged one raises
            return _jp2_profile(source)
    return image.info.get("icc_profile")


def _jp2_profile(file: BinaryIO) -> bytes | None:
    """The ICC profile in the header of a JPEG 2000 file (ISO/IEC 15444-1, annex I.5.3.3; 15444-2, annex M)."""
    from PIL.Jpeg2KImagePlugin import BoxReader

    file.seek(0)
    boxes = BoxReader(file)
    while boxes.next_box_type() != b"jp2h":
        pass
    header = boxes.read_boxes()
    while header.has_next_box():
        if header.next_box_type() == b"colr":
            colour = header.read_boxes().fp.read()
            if colour[0] in _ICC_METHODS:
                return colour[3:]
    return None


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
        return image.convert("I").convert("F").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    from was_daemon.imaging.large import grey
    from was_daemon.imaging.tiff import no_data

    entries = getattr(image, "tag_v2", {})
    return grey(image, entries.get(_PHOTOMETRIC) == 0, no_data(entries))
