"""The parameters in a picture's address, and what they mean for a picture of a certain size (Image API, section 4).

Parsing needs no picture, so that a malformed address is refused before any work is done.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

import attrs

from was_daemon.model.errors import BadRequest, NotImplementedHere
from was_daemon.model.pyramids import Box, Geometry, Tile
from was_daemon.web.iiif.limits import Limits

QUALITIES = ("default", "color", "gray", "bitonal")
FORMATS: Mapping[str, str] = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "tif": "image/tiff",
    "gif": "image/gif",
}
"""The formats of pictures, and their media types."""

_OTHER_FORMATS = ("jp2", "pdf")
"""Formats that the specification knows, too."""

_INTEGER = r"[0-9]{1,100}"
_NUMBER = r"[0-9]{1,100}(?:\.[0-9]{1,100})?|\.[0-9]{1,100}"
"""Clients write floating-point numbers with up to 17 digits; the length is bounded, so that arithmetic is."""

_PIXELS = re.compile(rf"({_INTEGER}),({_INTEGER}),({_INTEGER}),({_INTEGER})", re.ASCII)
_PERCENT = re.compile(rf"pct:({_NUMBER}),({_NUMBER}),({_NUMBER}),({_NUMBER})", re.ASCII)
_SIZE = re.compile(
    rf"(?P<up>\^?)(?:(?P<confined>!?)(?P<w>{_INTEGER})?,(?P<h>{_INTEGER})?|pct:(?P<pct>{_NUMBER}))", re.ASCII
)
_ROTATION = re.compile(rf"(?P<mirrored>!?)(?P<angle>{_NUMBER})", re.ASCII)
_FULL_TURN = 360


@attrs.frozen
class Size:
    """The parameter `size`: `max`, a width or a height or both, or percent.

    `up` is whether it may be larger than the region, `confined` whether width and height are a box to fit into.
    """

    up: bool = False
    width: int | None = None
    height: int | None = None
    percent: Decimal | None = None
    confined: bool = False
    whole: bool = False
    """Whether it is the size of the region itself, which version 2 calls `full`."""

    @property
    def is_max(self) -> bool:
        """Whether it is the largest size."""
        return self.width is None and self.height is None and self.percent is None


@attrs.frozen
class ImageRequest:
    """The parameters of an address.

    `region` is None for all of the picture, "square", or four numbers, in percent if `in_percent`. `rotation` is in
    degrees clockwise, below 360.
    """

    region: tuple[Decimal, ...] | str | None
    in_percent: bool
    size: Size
    mirrored: bool
    rotation: Decimal
    quality: str
    format: str


@attrs.frozen
class Rendering:
    """The view that an address names: a region of level 0, scaled to a size, mirrored, turned, and written.

    `quality` is `default` for the quality that the picture has. `tile` is the tile that shows just that, if any.
    """

    picture: tuple[int, int]
    region: Box
    size: tuple[int, int]
    mirrored: bool
    rotation: Decimal
    quality: str
    format: str
    limits: Limits
    tile: Tile | None = None

    def canonical(self, version: int) -> str:
        """Return the canonical form of the parameters (3.0, section 4.8; 2.1.1, section 4.7)."""
        region = self.region
        all_of_it = region.size == self.picture
        part = "full" if all_of_it else f"{region.x},{region.y},{region.width},{region.height}"
        turn = f"{'!' if self.mirrored else ''}{_plain(self.rotation)}"
        return f"{part}/{self._canonical_size(version)}/{turn}/{self.quality}.{self.format}"

    def _canonical_size(self, version: int) -> str:
        (width, height), region = self.size, self.region.size
        if self.size == self.limits.largest(region):
            return "max" if version > 2 else ("full" if self.size == region else "max")
        if version > 2:
            if self.limits.are_told_of(self.picture) and self.size == self.limits.largest(region, up=True):
                return "^max"
            up = "^" if width > region[0] or height > region[1] else ""
            return f"{up}{width},{height}"
        return f"{width}," if self.size == _by_width(region, width) else f"{width},{height}"


def parse_parameters(version: int, region: str, size: str, rotation: str, last: str) -> ImageRequest:
    """Return what four decoded segments of an address ask for; `last` is quality and format.

    Raises `BadRequest`, and `NotImplementedHere` for a format that there is not.
    """
    numbers, in_percent = _parse_region(region)
    turn = _ROTATION.fullmatch(rotation)
    if not turn or Decimal(turn["angle"]) > _FULL_TURN:
        raise BadRequest("the rotation is not a number from 0 to 360, with or without !")
    quality, _, format = last.rpartition(".")  # noqa: A001 - the specification's word
    if quality not in QUALITIES:
        raise BadRequest(f"the quality is none of {', '.join(QUALITIES)}")
    if format in _OTHER_FORMATS:
        raise NotImplementedHere(f"the formats are {', '.join(FORMATS)}")
    if format not in FORMATS:
        raise BadRequest(f"the format is none of {', '.join(FORMATS)}")
    return ImageRequest(
        numbers,
        in_percent,
        _parse_size(version, size),
        bool(turn["mirrored"]),
        Decimal(turn["angle"]) % _FULL_TURN,
        quality,
        format,
    )


def _parse_region(text: str) -> tuple[tuple[Decimal, ...] | str | None, bool]:
    if text == "full":
        return None, False
    if text == "square":
        return text, False
    match = _PIXELS.fullmatch(text) or _PERCENT.fullmatch(text)
    if not match:
        raise BadRequest("the region is none of full, square, x,y,w,h and pct:x,y,w,h")
    numbers = tuple(map(Decimal, match.groups()))
    if not numbers[2] or not numbers[3]:
        raise BadRequest("the region has no width or no height")
    return numbers, text.startswith("pct:")


def _parse_size(version: int, text: str) -> Size:
    if version > 2 and text in ("max", "^max"):
        return Size(up=text == "^max")
    if version == 2 and text in ("max", "full"):
        return Size(whole=text == "full")
    match = _SIZE.fullmatch(text)
    if not match or (match["up"] and version == 2):
        raise BadRequest("the size is none of max, w,  ,h  w,h  !w,h and pct:n")
    # Version 2 knows no mark for what is larger than the region.
    up = bool(match["up"]) or version == 2
    if match["pct"]:
        size = Size(up, percent=Decimal(match["pct"]))
    else:
        width, height = (int(match[name]) if match[name] else None for name in "wh")
        size = Size(up, width, height, confined=bool(match["confined"]))
        if (size.confined and not (width and height)) or match["w"] == match["h"] is None:
            raise BadRequest("the size lacks a width or a height")
    if 0 in (size.width, size.height, size.percent):
        raise BadRequest("the size has no pixels")
    return size


def resolve(request: ImageRequest, geometry: Geometry, limits: Limits, is_grey: bool = False) -> Rendering:
    """Return what a request shows of a picture, which has colours unless it `is_grey`.

    Raises `BadRequest` when that is nothing, or beyond the limits.
    """
    picture = (geometry.width, geometry.height)
    limits = attrs.evolve(limits, angle=request.rotation)
    region = _region(request, picture)
    asked = request.size
    if asked.is_max and not limits.are_told_of(picture):
        # `^max` is as large as the description tells (section 4.2), which tells nothing about this picture.
        asked = attrs.evolve(asked, up=False)
    tile = _tile(asked, region, geometry)
    size = tile.size if tile else _size(asked, region.size, limits)
    quality = "default" if request.quality == ("gray" if is_grey else "color") else request.quality
    is_turned = request.mirrored or request.rotation
    is_plain = not is_turned and quality == "default" and request.format == "jpg"
    return Rendering(
        picture,
        region,
        size,
        request.mirrored,
        request.rotation,
        quality,
        request.format,
        limits,
        tile if is_plain else None,
    )


def _region(request: ImageRequest, picture: tuple[int, int]) -> Box:
    width, height = picture
    if request.region is None:
        return Box(0, 0, width, height)
    if isinstance(request.region, str):
        side = min(picture)
        return Box((width - side) // 2, (height - side) // 2, side, side)
    x, y, w, h = request.region
    if request.in_percent:
        x, w = x * width / 100, w * width / 100
        y, h = y * height / 100, h * height / 100
    if x >= width or y >= height:
        raise BadRequest("the region lies outside of the picture")
    left, upper = min(round(x), width - 1), min(round(y), height - 1)
    right, lower = min(width, max(round(x + w), left + 1)), min(height, max(round(y + h), upper + 1))
    return Box(left, upper, right - left, lower - upper)


def _tile(size: Size, region: Box, geometry: Geometry) -> Tile | None:
    """Return the tile that a request for a size is for.

    Clients that give only one side of it round the other as they like.
    """
    for tile in geometry.tiles_of(region):
        width, height = tile.size
        if size.is_max and not size.up and tile.size == region.size:
            return tile
        if size.percent or size.confined or size.is_max:
            continue
        if size.width in (None, width) and size.height in (None, height):
            return tile
    return None


def _size(size: Size, region: tuple[int, int], limits: Limits) -> tuple[int, int]:
    if size.is_max:
        largest = limits.largest(region, size.up)
        if size.whole and largest != region:
            raise BadRequest(_too_large(largest))
        return largest
    wanted = _wanted(size, region)
    if size.confined:
        return _confined(size, region, limits)
    if not size.up and (wanted[0] > region[0] or wanted[1] > region[1]):
        raise BadRequest("the size is larger than the region; put ^ before it to have it enlarged")
    if not limits.allow(wanted):
        raise BadRequest(_too_large(limits.largest(region, size.up)))
    return wanted


def _too_large(largest: tuple[int, int]) -> str:
    return f"the largest size of this region is {largest[0]},{largest[1]}"


def _wanted(size: Size, region: tuple[int, int]) -> tuple[int, int]:
    if size.percent:
        width, height = (max(1, round(side * size.percent / 100)) for side in region)
        return width, height
    if size.width and size.height:
        return size.width, size.height
    return _by_width(region, size.width) if size.width else _by_height(region, size.height or 1)


def _by_width(region: tuple[int, int], width: int) -> tuple[int, int]:
    return width, max(1, round(region[1] * width / region[0]))


def _by_height(region: tuple[int, int], height: int) -> tuple[int, int]:
    return max(1, round(region[0] * height / region[1])), height


def _confined(size: Size, region: tuple[int, int], limits: Limits) -> tuple[int, int]:
    """Return the largest size within a box and the limits, which is not larger than the region unless `size.up`."""
    box = size.width or 1, size.height or 1
    factor = min(box[0] / region[0], box[1] / region[1], limits.factor(region))
    if not size.up:
        factor = min(factor, 1.0)
    width, height = limits.scaled(region, factor)
    return min(width, box[0]), min(height, box[1])


def _plain(number: Decimal) -> str:
    """Return a number without a fraction that is zero."""
    return f"{number.normalize():f}" if number else "0"
