"""Rendering of a part of a picture from the tiles of its pyramid."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO

import attrs
from PIL import Image, ImageChops

from was_daemon.imaging.decoded_tiles import DecodedTiles, PlacedTile
from was_daemon.imaging.writers import flatten, with_clear_colour
from was_daemon.model.errors import UnreadableImage

_PILLOW_FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "tif": "TIFF"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 82},
    "png": {"compress_level": 1},
    "webp": {"quality": 82, "method": 2},
    "tif": {"compression": "tiff_lzw"},
}
_RIGHT_ANGLES = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
"""Transpositions for angles clockwise; Pillow's turn the other way."""

_BLOCKS = 4
"""Pieces of memory that Pillow keeps while a region is rendered."""

_HALF = 128
"""The lightness that becomes white in a bitonal picture."""


@attrs.frozen
class View:
    """Treatment of a region: its size in pixels, and what is done to it then, in this order.

    `rotation` is in degrees clockwise. `quality` is default, color, gray or bitonal; `format` is jpg, png, webp, tif or
    gif.
    """

    width: int
    height: int
    mirrored: bool
    rotation: float
    quality: str
    format: str


def render_region(
    source: BinaryIO,
    tiles: Sequence[PlacedTile],
    region: tuple[float, float, float, float],
    view: View,
    decoded: DecodedTiles,
    alpha: Sequence[PlacedTile] = (),
) -> memoryview:
    """Return the bytes of a file that shows the part of a picture within `region` (left, upper, right, lower).

    The region is in pixels of the level whose `tiles` lie in `source`. With the tiles of its alpha channel, `alpha`, it
    is not on white. Raises `UnreadableImage`.
    """
    try:
        with _reused_memory():
            image = _scaled(_shown(source, tiles, region, decoded), region, view)
            if alpha:
                image = _not_on_white(image, _scaled(_shown(source, alpha, region, decoded), region, view))
            return _encoded(_in_quality(_rotated(image, view), view.quality), view.format)
    except MemoryError:
        raise UnreadableImage("the region needs more memory than there is") from None


@contextmanager
def _reused_memory() -> Iterator[None]:
    """Have Pillow use the memory of one tile for the next: new memory costs more time than decoding into it."""
    core: Any = getattr(Image, "core")  # noqa: B009 - Pillow's type has no such attribute
    core.set_blocks_max(_BLOCKS)
    try:
        yield
    finally:
        core.set_blocks_max(0)
        core.clear_cache()


def _scaled(image: Image.Image, region: tuple[float, float, float, float], view: View) -> Image.Image:
    size = view.width, view.height
    if image.size == size and region == tuple(map(round, region)):
        return image
    return image.resize(size, Image.Resampling.LANCZOS, _within(region, image.size))


def _not_on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return a picture with its alpha channel, which shows `image` on white.

    Its colours are exact after scaling, too: those on white, inverted, are colours times alpha, as Pillow's RGBa has.
    """
    times_alpha = Image.merge("RGBa", (*ImageChops.invert(image.convert("RGB")).split(), alpha))
    colours = ImageChops.invert(times_alpha.convert("RGBA").convert("RGB"))
    colours.putalpha(alpha)
    return colours if image.mode == "RGB" else colours.convert("LA")


def _shown(
    source: BinaryIO,
    tiles: Sequence[PlacedTile],
    region: tuple[float, float, float, float],
    decoded: DecodedTiles,
) -> Image.Image:
    """Return the pixels of a level that show a part of `region`, from the tiles in which they are."""
    left, upper = math.floor(region[0]), math.floor(region[1])
    size = (math.ceil(region[2]) - left, math.ceil(region[3]) - upper)
    shown: Image.Image | None = None
    for tile in tiles:
        image = decoded.get(source, tile)
        # In the mode of the tiles: those of a grey picture are grey.
        shown = shown or Image.new(image.mode, size)
        shown.paste(image, (tile.x - left, tile.y - upper))
    assert shown  # noqa: S101 - there is a tile in every region
    return shown


def _within(region: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return `region` in pixels of what `_shown` returned, which has `size`."""
    left, upper = math.floor(region[0]), math.floor(region[1])
    right, lower = min(size[0], region[2] - left), min(size[1], region[3] - upper)
    return region[0] - left, region[1] - upper, right, lower


def _rotated(image: Image.Image, view: View) -> Image.Image:
    """Mirror and rotate; corners that are not of the picture are clear."""
    if view.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = view.rotation % 360
    if not angle:
        return image
    if angle in _RIGHT_ANGLES:
        return image.transpose(_RIGHT_ANGLES[int(angle)])
    clear = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
    return clear.rotate(-angle, Image.Resampling.BICUBIC, expand=True)


def _in_quality(image: Image.Image, quality: str) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if quality == "color" and image.mode in ("L", "LA"):
        return image.convert("RGBA" if alpha else "RGB")
    if quality not in ("gray", "bitonal"):
        return image
    grey = image.convert("L")
    if quality == "bitonal":
        grey = grey.point(lambda value: 255 * (value >= _HALF))
    if alpha:
        grey.putalpha(alpha)
    return grey


def _encoded(image: Image.Image, format: str) -> memoryview:  # noqa: A002 - Pillow's word
    options = dict(_OPTIONS.get(format, {}))
    if format == "jpg":
        image = flatten(image)
    if format == "gif" and image.mode in ("LA", "RGBA"):
        image, options["transparency"] = with_clear_colour(image)
    encoded = BytesIO()
    image.save(encoded, _PILLOW_FORMATS[format], **options)
    return encoded.getbuffer()
