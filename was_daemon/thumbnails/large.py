"""TIFF, and PNG too large to hold: libvips streams them through a few rows of memory."""

import os
from typing import Any

from PIL import Image

from was_daemon.thumbnails.picture import Picture, black_and_white, check_pixels, reduction

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # read when the library is loaded; the pool has a worker per CPU

import pyvips

pyvips.cache_set_max(0)  # it would answer for a path with what an earlier file there held

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_LAB = ("lab", "labs", "labq")


def read_tiff(source: str, box: int, max_pixels: int, tolerant: bool, levels: list[dict[str, int]]) -> Picture:
    """The first page of a TIFF; `levels` are the options that load reduced versions of it.

    What is missing is black when `tolerant`. Raises OSError when libvips cannot read it, MemoryError, `BrokenImage`.
    """
    options = _options(tolerant)
    try:
        image = pyvips.Image.tiffload(source, **options)
        check_pixels((image.width, image.height), max_pixels)
        whole = image
        for level in levels:
            smaller = pyvips.Image.tiffload(source, **options, **level)
            if _is_level(whole, smaller, box) and smaller.width < image.width:
                image = smaller
        return _read(image, whole, box)
    except pyvips.Error as error:
        raise _translated(error) from None


def read_png(source: str, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """A PNG; interlaced ones are held in memory whole. Raises what `read_tiff` does."""
    try:
        image = pyvips.Image.pngload(source, **_options(tolerant))
        check_pixels((image.width, image.height), max_pixels)
        return _read(image, image, box)
    except pyvips.Error as error:
        raise _translated(error) from None


def _options(tolerant: bool) -> dict[str, str]:
    return {"access": "sequential", "fail_on": "none" if tolerant else "error"}


def _translated(error: pyvips.Error) -> Exception:
    """libvips' messages name files and functions; only what kind of trouble it is goes on from here."""
    return MemoryError() if "memory" in str(error) else OSError("libvips cannot read it")


def _is_level(whole: Any, smaller: Any, box: int) -> bool:
    """Whether `smaller` shows `whole` and is large enough for thumbnails of up to `box` pixels."""
    factor = whole.width / smaller.width
    same = abs(smaller.height * factor - whole.height) <= 2 * factor and smaller.bands == whole.bands
    return bool(same and factor <= reduction((whole.width, whole.height), box))


def _read(image: Any, whole: Any, box: int) -> Picture:
    """The pixels of `image`, no more than needed, with what the file says about `whole`."""
    orientation = _property(whole, "orientation") or 1
    factor = reduction((whole.width, whole.height), box) * image.width / whole.width
    return Picture(_to_pillow(_shrink(image, factor)), _property(whole, "icc-profile-data"), orientation)


def _property(image: Any, name: str) -> Any:
    return image.get(name) if image.get_typeof(name) else None


def _shrink(image: Any, factor: float) -> Any:
    """`image` made `factor` times smaller per side, if that is smaller at all."""
    if factor <= 1:
        return image
    # Lanczos overshoots, and the extremes of measurements become black and white.
    kernel = "linear" if image.format in ("float", "double") else "lanczos3"
    if not image.hasalpha():
        return image.resize(1 / factor, kernel=kernel)
    return image.premultiply().resize(1 / factor, kernel=kernel).unpremultiply().cast(image.format)


def _to_pillow(image: Any) -> Image.Image:
    if image.interpretation in _LAB:
        image = image.colourspace("srgb")
    image = _eight_bits(image)
    mode = "CMYK" if image.interpretation == "cmyk" and image.bands >= 4 else _MODES[min(image.bands, 4)]
    image = image.extract_band(0, n=len(mode))
    return Image.frombytes(mode, (image.width, image.height), image.write_to_memory())


def _eight_bits(image: Any) -> Any:
    if image.format == "uchar":
        return image
    if image.format == "ushort":
        return (image / 257).rint().cast("uchar")
    image = image.copy_memory()
    black, white = black_and_white(image.min(), image.max())
    return ((image - black) * (255 / (white - black))).rint().cast("uchar")
