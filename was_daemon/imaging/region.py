"""Rendering of a part of a picture from the tiles of its pyramid."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, BinaryIO

import attrs
from PIL import Image

from was_daemon.imaging.writers import flatten, overwrite
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

_HALF = 128
"""The lightness that becomes white in a bitonal picture."""


@attrs.frozen
class PlacedTile:
    """A tile in a file of several: its length in bytes, and its place in pixels of its level."""

    length: int
    x: int
    y: int


@attrs.frozen
class View:
    """What becomes of a region: its size in pixels, and what is done to it then, in this order.

    `rotation` is in degrees clockwise. `quality` is default, color, gray or bitonal; `format` is jpg, png, webp, tif or
    gif.
    """

    width: int
    height: int
    mirrored: bool
    rotation: float
    quality: str
    format: str


def write_region(
    source: BinaryIO,
    tiles: Sequence[PlacedTile],
    region: tuple[float, float, float, float],
    view: View,
    target: BinaryIO,
) -> None:
    """Write the part of a picture within `region` (left, upper, right, lower) to `target`.

    The region is in pixels of the level whose `tiles` lie in `source` one behind the other. Raises `UnreadableImage`.
    """
    try:
        level, (left, upper) = _assemble(source, tiles)
        box = (region[0] - left, region[1] - upper, region[2] - left, region[3] - upper)
        image = level.resize((view.width, view.height), Image.Resampling.LANCZOS, _within(box, level.size))
        del level
        _write(_in_quality(_rotated(image, view), view.quality), view.format, target)
    except MemoryError:
        raise UnreadableImage("the region needs more memory than there is") from None


def _assemble(source: BinaryIO, tiles: Sequence[PlacedTile]) -> tuple[Image.Image, tuple[int, int]]:
    """Return the picture that adjacent tiles show together, and the place of its corner in the level."""
    source.seek(0)
    images = [Image.open(BytesIO(source.read(tile.length)), formats=["JPEG"]) for tile in tiles]
    left, upper = min(tile.x for tile in tiles), min(tile.y for tile in tiles)
    width = max(tile.x + image.width for image, tile in zip(images, tiles, strict=True)) - left
    height = max(tile.y + image.height for image, tile in zip(images, tiles, strict=True)) - upper
    # In the mode of the tiles: those of a grey picture are grey.
    whole = Image.new(images[0].mode, (width, height))
    for image, tile in zip(images, tiles, strict=True):
        with image:
            whole.paste(image, (tile.x - left, tile.y - upper))
    return whole, (left, upper)


def _within(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return `box` without what lies outside of `size` by the rounding of levels."""
    left, upper, right, lower = box
    return max(0.0, left), max(0.0, upper), min(float(size[0]), right), min(float(size[1]), lower)


def _rotated(image: Image.Image, view: View) -> Image.Image:
    """Mirror and rotate; corners that are not of the picture are clear."""
    if view.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = view.rotation % 360
    if not angle:
        return image
    if angle in _RIGHT_ANGLES:
        return image.transpose(_RIGHT_ANGLES[int(angle)])
    clear = image.convert("LA" if image.mode == "L" else "RGBA")
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


def _write(image: Image.Image, format: str, target: BinaryIO) -> None:  # noqa: A002 - Pillow's word
    if format in ("jpg", "tif", "gif"):
        image = flatten(image)
    # Encoded in memory first: Pillow's encoders do not report a full disk, writing the file does.
    encoded = BytesIO()
    image.save(encoded, _PILLOW_FORMATS[format], **_OPTIONS.get(format, {}))
    overwrite(target, encoded.getbuffer())
