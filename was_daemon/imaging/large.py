"""TIFF, and PNG too large to hold: libvips streams them through a few rows of memory."""

import math
import os
from typing import Any, BinaryIO

from PIL import Image

from was_daemon.imaging.picture import Picture, black_and_white, check_pixels, reduction
from was_daemon.imaging.tiff import Page

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # read when the library is loaded; the pool has a worker per CPU

import pyvips

pyvips.cache_set_max(0)  # it would answer for a path with what an earlier file there held

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_LAB = ("lab", "labs", "labq")
_TURNED = ("uchar", "ushort", "uint")
"""Formats of which libvips itself makes the lowest number white when the file says so."""

_ABSURD = 1e30
"""Measurements beyond it stand for "no data", as -3.4e38 does in maps; they become black."""


def read_tiff(source: BinaryIO, box: int, max_pixels: int, tolerant: bool, page: Page) -> Picture:
    """The first page of a TIFF, which is `page`.

    What is missing is black when `tolerant`. Raises OSError when libvips cannot read it, MemoryError, `BrokenImage`.
    """
    options = _options(tolerant)
    try:
        image = _load("tiffload_source", source, **options)
        check_pixels((image.width, image.height), max_pixels)
        whole = image
        for level in page.levels:
            smaller = _load("tiffload_source", source, **options, **level)
            if _is_level(whole, smaller, box) and smaller.width < image.width:
                image = smaller
        image = image.extract_band(0, n=3) if page.is_opaque(image.bands) else image
        negative = page.negative and image.format not in _TURNED
        return _read(_without(image, page.no_data), whole, box, negative)
    except pyvips.Error as error:
        raise _translated(error) from None


def read_png(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """A PNG; interlaced ones are held in memory whole. Raises what `read_tiff` does."""
    try:
        image = _load("pngload_source", source, **_options(tolerant))
        check_pixels((image.width, image.height), max_pixels)
        return _read(image, image, box)
    except pyvips.Error as error:
        raise _translated(error) from None


def grey(image: Image.Image, negative: bool, no_data: float | None) -> Image.Image:
    """`image` of mode I or F as one of mode L, as `read_tiff` makes it of such numbers."""
    numbers = "float" if image.mode == "F" else "int"
    measurements = pyvips.Image.new_from_memory(image.tobytes(), *image.size, 1, numbers)
    return _to_pillow(_without(measurements, no_data), negative)


def _load(loader: str, source: BinaryIO, **options: Any) -> Any:
    """The picture in `source`. The pictures of one file share the position in it, which does no harm as long as one of
    them is read at a time: libtiff seeks before it reads."""
    source.seek(0)
    return getattr(pyvips.Image, loader)(pyvips.Source.new_from_descriptor(source.fileno()), **options)


def _without(image: Any, no_data: float | None) -> Any:
    """Measurements with NaN for `no_data`, before a filter mixes it with its neighbours."""
    if no_data is None or image.format in ("uchar", "ushort"):
        return image
    return (image == no_data).ifthenelse(math.nan, image.cast("float"))


def _options(tolerant: bool) -> dict[str, str]:
    return {"access": "sequential", "fail_on": "none" if tolerant else "error"}


def _translated(error: pyvips.Error) -> Exception:
    """libvips' messages name files and functions; only what kind of trouble it is goes on from here.

    `error.message` is no help: it says "unable to write to memory" whatever the trouble was.
    """
    return MemoryError() if "memory" in error.detail.lower() else OSError("libvips cannot read it")


def _is_level(whole: Any, smaller: Any, box: int) -> bool:
    """Whether `smaller` shows `whole` and is large enough for thumbnails of up to `box` pixels."""
    factor = whole.width / smaller.width
    same = abs(smaller.height * factor - whole.height) <= 2 * factor and smaller.bands == whole.bands
    return bool(same and factor <= reduction((whole.width, whole.height), box))


def _read(image: Any, whole: Any, box: int, negative: bool = False) -> Picture:
    """The pixels of `image`, no more than needed, with what the file says about `whole`."""
    orientation = _property(whole, "orientation") or 1
    size = (whole.width, whole.height)
    factor = reduction(size, box) * image.width / whole.width
    pixels = _to_pillow(_shrink(image, factor), negative)
    return Picture(pixels, _property(whole, "icc-profile-data"), orientation, size)


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


def _to_pillow(image: Any, negative: bool) -> Image.Image:
    if image.interpretation in _LAB:
        image = image.colourspace("srgb")
    image = _eight_bits(image, negative)
    mode = "CMYK" if image.interpretation == "cmyk" and image.bands >= 4 else _MODES[min(image.bands, 4)]
    image = image.extract_band(0, n=len(mode))
    return Image.frombytes(mode, (image.width, image.height), image.write_to_memory())


def _eight_bits(image: Any, negative: bool) -> Any:
    """`image` in bytes; the lowest number becomes white when it is `negative` and of more than 16 bits or signed."""
    if image.format == "uchar":
        return image
    if image.format == "ushort":
        return (image / 257).rint().cast("uchar")
    image = image.copy_memory()
    measured = image.abs() < _ABSURD  # false of what is not a number
    low, high = measured.ifthenelse(image, _ABSURD).min(), measured.ifthenelse(image, -_ABSURD).max()
    black, white = black_and_white(min(low, high), high)
    if negative:
        black, white = white, black
    return measured.ifthenelse((image - black) * (255 / (white - black)), 0).rint().cast("uchar")
