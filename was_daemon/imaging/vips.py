"""Decoding by libvips, which streams TIFF and very large PNG through a few rows of memory."""

import math
from typing import Any, BinaryIO

import attrs
from PIL import Image

from was_daemon.imaging.libvips import builtin_errors, pyvips, to_builtin_error
from was_daemon.imaging.picture import Picture, black_and_white, check_pixels, reduction
from was_daemon.imaging.plain_tiff import Feed
from was_daemon.imaging.tiff import ASSOCIATED_ALPHA, WHITE_OF_16_BITS, Page, as_colours
from was_daemon.imaging.unpacked_tiff import unpacked


@attrs.frozen
class Rows:
    """Picture of full size of which libvips gives one row after the other, from the first to the last.

    `image` is of bytes and has the bands of Pillow's `mode`; `profile` and `orientation` are as in `Picture`. `feed` is
    what libvips reads, None if that is the file itself.
    """

    image: Any
    mode: str
    profile: bytes | None
    orientation: int
    feed: Feed | None = None


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_LAB = ("lab", "labs", "labq")
_INVERTED_BY_VIPS = ("uchar", "ushort", "uint")
"""Formats that libvips inverts itself when the file declares the lowest number to be white."""

_UNSIGNED = ("uchar", "ushort")
_JPEG_SHRINKS = (1, 2, 4, 8)
_MAX_MEASUREMENT = 1e30
"""Magnitude from which a number stands for "no data", as -3.4e38 does in maps; such pixels become black."""


def read_tiff(source: BinaryIO, box: int, max_pixels: int, tolerant: bool, page: Page) -> Picture:
    """Read the first page of a TIFF, whose properties are `page`; with `tolerant`, missing parts are black.

    Raises OSError when libvips cannot read the file, MemoryError, and `BrokenImage`.
    """
    options = _options(tolerant)
    try:
        image = _load_page(source, page, 0, **options)
        check_pixels((image.width, image.height), max_pixels)
        whole = image
        for level in page.levels:
            smaller = _load("tiffload_source", source, **options, **level)
            if _is_level(whole, smaller, box) and smaller.width < image.width:
                image = smaller
        meant, negative, mode = _meant(image, page)
        return to_picture(meant, whole, box, negative, mode)
    except pyvips.Error as error:
        raise to_builtin_error(error) from None


def read_jpeg(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """Read a JPEG whatever its first markers are; with `tolerant`, missing parts are grey. Raises as `read_tiff`."""
    try:
        whole = _load("jpegload_source", source)
        size = (whole.width, whole.height)
        check_pixels(size, max_pixels)
        shrink = max(each for each in _JPEG_SHRINKS if each <= max(1, reduction(size, box)))
        image = _load("jpegload_source", source, shrink=shrink, **_options(tolerant))
        return to_picture(image, whole, box)
    except pyvips.Error as error:
        raise to_builtin_error(error) from None


def stream_tiff(source: BinaryIO, max_pixels: int, tolerant: bool, page: Page, directory: int) -> Rows:
    """Open the page of a TIFF in the directory of that number, whose properties are `page`, to read row by row.

    Raises the errors of `read_tiff`.
    """
    feed = None if tolerant else unpacked(source, directory)
    with builtin_errors():
        options = _options(tolerant)
        if feed:
            image = pyvips.Image.tiffload_source(feed.source, **options)
        else:
            image = _load_page(source, page, directory, **options)
        check_pixels((image.width, image.height), max_pixels)
        meant, negative, mode = _meant(image, page)
        return attrs.evolve(_rows(meant, image, negative, mode), feed=feed)


def stream_png(source: BinaryIO, max_pixels: int, tolerant: bool) -> Rows:
    """Open a PNG to read row by row; raises the errors of `read_tiff`."""
    with builtin_errors():
        image = _load("pngload_source", source, **_options(tolerant))
        check_pixels((image.width, image.height), max_pixels)
        return _rows(image, image)


def stream_jpeg(source: BinaryIO, max_pixels: int, tolerant: bool) -> Rows:
    """Open a JPEG to read row by row; raises the errors of `read_tiff`."""
    with builtin_errors():
        image = _load("jpegload_source", source, **_options(tolerant))
        check_pixels((image.width, image.height), max_pixels)
        return _rows(image, image)


def directories_of_tiff(source: BinaryIO) -> int:
    """Return the number of directories of a TIFF; raises OSError."""
    with builtin_errors():
        image = _load("tiffload_source", source)
        return int(_property(image, "n-pages") or 1)


def read_png(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """Read a PNG; an interlaced one is held in memory whole. Raises the errors of `read_tiff`."""
    try:
        image = _load("pngload_source", source, **_options(tolerant))
        check_pixels((image.width, image.height), max_pixels)
        return to_picture(image, image, box)
    except pyvips.Error as error:
        raise to_builtin_error(error) from None


def grey_from_numbers(image: Image.Image, negative: bool, no_data: float | None) -> Image.Image:
    """Convert an image of mode I or F to mode L, in the same way as `read_tiff` shows such numbers."""
    numbers = "float" if image.mode == "F" else "int"
    measurements = pyvips.Image.new_from_memory(image.tobytes(), *image.size, 1, numbers)
    return _to_pillow(_mask_no_data(measurements, no_data), negative)


def _load(loader: str, source: BinaryIO, **options: Any) -> Any:
    """Open a picture in `source`.

    All pictures of one file share its position. That is harmless while only one is read at a time: libtiff seeks
    before it reads.
    """
    source.seek(0)
    return getattr(pyvips.Image, loader)(pyvips.Source.new_from_descriptor(source.fileno()), **options)


def _load_page(source: BinaryIO, page: Page, directory: int, **options: Any) -> Any:
    """Open the page of a TIFF in the directory of that number, whose properties are `page`."""
    if not page.is_grey_in_planes:
        return _load("tiffload_source", source, page=directory, **options)
    mapped = pyvips.Source.new_from_memory(as_colours(source, directory))
    # Unlike `tiffload_source`, this keeps the mapping as long as the picture.
    image = pyvips.Image.new_from_source(mapped, "", page=directory, **options)
    image = image.copy(interpretation="grey16" if image.format == "ushort" else "b-w")
    if page.extra == ASSOCIATED_ALPHA:
        image = image.unpremultiply().cast(image.format)
    if page.negative and image.format in _INVERTED_BY_VIPS:
        return image.extract_band(0).invert().bandjoin(image.extract_band(1, n=image.bands - 1))
    return image


def _signed_lab(image: Any) -> Any:
    """Return LAB of 8 or 16 bits as the bytes of Pillow's LAB, in which a and b are signed."""
    image = image if image.format == "uchar" else (image >> 8).cast("uchar")
    return image.extract_band(0, n=3) ^ [0, 0x80, 0x80]


def _mask_no_data(image: Any, no_data: float | None) -> Any:
    """Replace `no_data` by NaN, so that no filter mixes it with neighbouring measurements."""
    if no_data is None or image.format in ("uchar", "ushort"):
        return image
    return (image == no_data).ifthenelse(math.nan, image.cast("float"))


def _meant(image: Any, page: Page) -> tuple[Any, bool, str | None]:
    """Return `image` as the tags of its page say it is meant, whether its lowest number is still white, and its mode.

    The mode is Pillow's, None where libvips knows it.
    """
    image = image.extract_band(0, n=3) if page.is_opaque(image.bands) else image
    if image.format == "ushort" and page.white != WHITE_OF_16_BITS:
        image = _scaled(image, page)
    if page.is_icc_lab and image.format in _UNSIGNED:
        return _signed_lab(image), False, "LAB"
    negative = page.negative and image.format not in _INVERTED_BY_VIPS
    return _mask_no_data(image, page.no_data), negative, None


def _scaled(image: Any, page: Page) -> Any:
    """Return an image of 16 bits whose samples have fewer, with white as the largest number."""
    factor = WHITE_OF_16_BITS / page.white
    # libvips has inverted it as if it had all bits.
    offset = WHITE_OF_16_BITS * (1 - factor) if page.negative else 0
    return (image * factor + offset).cast("ushort")


def _options(tolerant: bool) -> dict[str, Any]:
    return {"access": "sequential", "fail_on": "none" if tolerant else "error"}


def _is_level(whole: Any, smaller: Any, box: int) -> bool:
    """Return whether `smaller` shows `whole` and is large enough for thumbnails of up to `box` pixels."""
    factor = whole.width / smaller.width
    same = abs(smaller.height * factor - whole.height) <= 2 * factor and smaller.bands == whole.bands
    return bool(same and factor <= reduction((whole.width, whole.height), box))


def _rows(image: Any, whole: Any, negative: bool = False, mode: str | None = None) -> Rows:
    image, mode = _to_bytes(image, negative, mode)
    return Rows(image, mode, _property(whole, "icc-profile-data"), _property(whole, "orientation") or 1)


def to_picture(image: Any, whole: Any, box: int, negative: bool = False, mode: str | None = None) -> Picture:
    """Return `image`, reduced as far as thumbnails allow, with the orientation, profile and size of `whole`.

    `mode` is Pillow's mode for its bytes, where libvips does not know it.
    """
    orientation = _property(whole, "orientation") or 1
    size = (whole.width, whole.height)
    factor = reduction(size, box) * image.width / whole.width
    pixels = _to_pillow(_shrink(image, factor), negative, mode)
    return Picture(pixels, _property(whole, "icc-profile-data"), orientation, size)


def _property(image: Any, name: str) -> Any:
    return image.get(name) if image.get_typeof(name) else None


def _shrink(image: Any, factor: float) -> Any:
    """Reduce `image` by `factor` per side, unless that would enlarge it."""
    if factor <= 1:
        return image
    # Lanczos overshoots, and the extremes of measurements become black and white.
    kernel = "linear" if image.format in ("float", "double") else "lanczos3"
    if not image.hasalpha():
        return image.resize(1 / factor, kernel=kernel)
    return image.premultiply().resize(1 / factor, kernel=kernel).unpremultiply().cast(image.format)


def _to_pillow(image: Any, negative: bool, mode: str | None = None) -> Image.Image:
    image, mode = _to_bytes(image, negative, mode)
    return Image.frombytes(mode, (image.width, image.height), image.write_to_memory())


def _to_bytes(image: Any, negative: bool, mode: str | None) -> tuple[Any, str]:
    """Return `image` with the bands of one of Pillow's modes, as bytes, and that mode."""
    if image.interpretation in _LAB:
        image = image.colourspace("srgb")
    image = _eight_bits(image, negative)
    if mode is None:
        mode = "CMYK" if image.interpretation == "cmyk" and image.bands >= 4 else _MODES[min(image.bands, 4)]
    return image.extract_band(0, n=len(mode)), mode


def _eight_bits(image: Any, negative: bool) -> Any:
    """Convert `image` to bytes; with `negative`, the lowest of 32-bit, signed or real numbers becomes white."""
    if image.format == "uchar":
        return image
    if image.format == "ushort":
        return (image / 257).rint().cast("uchar")
    image = image.copy_memory()
    measured = image.abs() < _MAX_MEASUREMENT  # false of what is not a number
    low, high = measured.ifthenelse(image, _MAX_MEASUREMENT).min(), measured.ifthenelse(image, -_MAX_MEASUREMENT).max()
    black, white = black_and_white(min(low, high), high)
    if negative:
        black, white = white, black
    return measured.ifthenelse((image - black) * (255 / (white - black)), 0).rint().cast("uchar")
