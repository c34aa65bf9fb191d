"""Decoding by Pillow and its plugins."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from PIL import Image, ImageFile, ImageOps

from was_daemon.imaging import jpeg2000
from was_daemon.imaging.file_types import FileType, is_lossless_jpeg
from was_daemon.imaging.orientation import stated_orientation
from was_daemon.imaging.picture import Picture, check_pixels, reduction

Image.MAX_IMAGE_PIXELS = None  # check_pixels is the limit

_PLUGINS = {
    FileType.JPEG: "Jpeg",
    FileType.PNG: "Png",
    FileType.GIF: "Gif",
    FileType.WEBP: "WebP",
    FileType.BMP: "Bmp",
    FileType.AVIF: "Avif",
    FileType.JPEG2000: "Jpeg2K",
    FileType.PSD: "Psd",
    FileType.TIFF: "Tiff",
}
_MAX_PNG_PIXELS = 50_000_000
"""Pixels of a PNG above which libvips streams it: Pillow would need 200 MB."""

_JPEG2000_REDUCTIONS = 5
"""Reductions by two that a JPEG 2000 file usually has; asking for more than it has is an error."""

_DECODER_BYTES = 12
"""Bytes for each pixel that decoders of whole pictures take."""

_ORIENTATION = 0x0112
_ROTATED = range(5, 9)
"""Orientations in which width and height change places."""

_BITS = 258
_PHOTOMETRIC = 262
_ICC_METHODS = (2, 3)


@contextmanager
def _missing_parts(allowed: bool) -> Iterator[None]:
    """Have Pillow accept files that are cut off, or not; its setting is one for the whole process."""
    ImageFile.LOAD_TRUNCATED_IMAGES = allowed
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def decode(
    source: BinaryIO, file_type: FileType, box: int, max_pixels: int, tolerant: bool, reduced: bool = True
) -> Picture:
    """Decode a file with Pillow; with `tolerant`, missing parts are grey or black.

    Without `reduced`, a JPEG 2000 file is decoded in its full size.

    Raises `BrokenImage` for too many pixels, MemoryError, and any other exception for a damaged file.
    """
    with _missing_parts(tolerant), _open(source, file_type) as image:
        size = image.size
        check_pixels(size, max_pixels)
        if file_type is FileType.PNG and image.width * image.height > _MAX_PNG_PIXELS:
            from was_daemon.imaging.vips import read_png

            return read_png(source, box, max_pixels, tolerant)
        factor = reduction(size, box)
        if "progressive" in image.info:
            _require_progressive_memory(image)
        wanted = (max(1, int(size[0] / factor)), max(1, int(size[1] / factor)))
        is_drafted = file_type is FileType.JPEG and not is_lossless_jpeg(source)
        drafted = image.draft(None, wanted) if is_drafted else None
        extent = drafted[1][2:] if drafted else None
        is_reduced = file_type is FileType.JPEG2000 and factor >= 2 and reduced and not tolerant
        reductions = min(int(factor).bit_length() - 1, _JPEG2000_REDUCTIONS) if is_reduced else 0
        if is_reduced:
            setattr(image, "reduce", reductions)  # noqa: B010 - of its plugin only
        _load(image)
        pixels = _with_right_whites(image, source, reductions) if file_type is FileType.JPEG2000 else image
        # Read after loading: Pillow rotates a TIFF while it loads it, and then removes the orientation.
        orientation = _orientation(image, source)
        return Picture(
            _to_picture_mode(pixels), _profile(image, source), orientation, None if is_reduced else size, extent
        )


def upright_size_by_pillow(source: BinaryIO, file_type: FileType) -> tuple[int, int]:
    """Return width and height of a picture, upright, from its header; raises anything for a file not opened so."""
    with _open(source, file_type) as image:
        if file_type is FileType.TIFF:
            return image.size  # upright already
        # Pillow would decode a PNG to find EXIF behind its pixels.
        turned = stated_orientation(source) if file_type is FileType.PNG else _orientation(image, source)
        return image.size[::-1] if turned in _ROTATED else image.size


def _load(image: Image.Image) -> None:
    """Decode `image`; raise MemoryError when its decoder fails and there is no room for what decoders need."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        # Those of AVIF, JPEG 2000 and HEIF say that the file is damaged when it was memory that they lacked.
        bytes(_DECODER_BYTES * image.width * image.height)
        raise


def _with_right_whites(image: Image.Image, source: BinaryIO, reductions: int) -> Image.Image:
    """Return the decoded `image` of a JPEG 2000 file with white as 255, whatever the depth of its samples.

    Pillow rounds the largest samples of more than 8 bits up to 256, of which a byte keeps 0; those of fewer it shifts.
    """
    bits = jpeg2000.depths(source)
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    if jpeg2000.is_deep(bits) and jpeg2000.has_zeros(image):
        file = cast(BinaryIO, jpeg2000.WithHeadroom(source))
        with Image.open(file, formats=["JPEG2000"]) as other:
            setattr(other, "reduce", reductions)  # noqa: B010 - of its plugin only
            _load(other)
            image = jpeg2000.unwrapped(image, other)
    return jpeg2000.widened(image, bits)


def _open(source: BinaryIO, file_type: FileType) -> Image.Image:
    # Drops what is buffered: libvips may have moved the position of the open file, where the buffer would read on.
    source.seek(0, os.SEEK_END)
    if file_type is FileType.HEIF:
        from pillow_heif import HeifImageFile

        source.seek(0)
        return HeifImageFile(source)
    if file_type is FileType.WEBP:
        _require_webp_memory(source)
    importlib.import_module(f"PIL.{_PLUGINS[file_type]}ImagePlugin")
    return Image.open(source, formats=[file_type.name])


def _require_webp_memory(source: BinaryIO) -> None:
    """Raise MemoryError without room for libwebp's two canvases; Pillow's error would not say that memory is short."""
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


def _require_progressive_memory(image: Image.Image) -> None:
    """Raise MemoryError without room for a progressive JPEG; its decoder would report a broken file."""
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
    """Return the ICC profile in the header of a JPEG 2000 file (ISO/IEC 15444-1, annex I.5.3.3; 15444-2, annex M)."""
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


def _orientation(image: Image.Image, source: BinaryIO) -> int:
    if image.format == "JPEG2000":
        # Pillow does not look into its boxes.
        return stated_orientation(source) or 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF raises anything, and does not matter
        return 1


def _to_picture_mode(image: Image.Image) -> Image.Image:
    """Convert `image` to a mode that `Picture` allows."""
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
    from was_daemon.imaging.tiff import no_data, white
    from was_daemon.imaging.vips import grey_from_numbers

    entries = getattr(image, "tag_v2", {})
    negative = entries.get(_PHOTOMETRIC) == 0
    if not image.mode.startswith("I;"):
        return grey_from_numbers(image, negative, no_data(entries))
    # A TIFF of 12 bits has the same mode as one of 16.
    (bits,) = entries.get(_BITS, (16,))
    factor = 255 / min(2**bits - 1, white(entries))
    grey = image.convert("I").convert("F").point(lambda value: value * factor + 0.5).convert("L")
    return ImageOps.invert(grey) if negative else grey
