"""Decoded picture, before it is rotated, converted to sRGB and scaled; limits and sizes of pictures."""

import attrs
from PIL import Image

from was_daemon.model.errors import BrokenImage

OVERSAMPLING = 2
"""Pixels per side that readers keep when they decode at reduced size, in multiples of the thumbnail's.

With two the final Lanczos filter loses no visible detail.
"""

_SAMPLES = 16
"""Pixels per side of the sample that tells most pictures from uniform ones."""

_ALPHA_MODES = ("LA", "RGBA")

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""


@attrs.frozen
class Picture:
    """Decoded picture, at least `OVERSAMPLING` times as large as needed or of its full size.

    `image` is L, LA, RGB, RGBA, CMYK or LAB; `profile` is its ICC profile; `orientation` is the EXIF value, 1 to 8.
    `size` is the size of the whole picture in pixels; None when the reader may choose another picture in the file for
    thumbnails of another size. `extent` is the part of `image` that shows the picture, in pixels: a picture decoded at
    reduced size may end within the last column and row. None is all of `image`. `proportions` are width and height of a
    drawing, which has no pixels, in any unit: those of `image` are rounded.
    """

    image: Image.Image
    profile: bytes | None = None
    orientation: int = 1
    size: tuple[int, int] | None = None
    extent: tuple[float, float] | None = None
    proportions: tuple[float, float] | None = None

    def fitted(self, box: int) -> tuple[int, int]:
        """Return the size of a thumbnail within `box` x `box`: a drawing fills the box, pixels are not enlarged."""
        if self.proportions:
            width, height = (side * box / max(self.proportions) for side in self.proportions)
            return max(1, round(width)), max(1, round(height))
        # By the full size: a picture decoded at reduced size has slightly other proportions.
        return fit(self.size or self.image.size, box)


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Raise `BrokenImage` when a picture has no pixels or more than `max_pixels`. Call this before decoding."""
    width, height = size
    if width < 1 or height < 1:
        raise BrokenImage("the picture has no pixels")
    if width * height > max_pixels:
        found, limit = _megapixels(width * height), _megapixels(max_pixels)
        raise BrokenImage(f"the picture has {found} megapixels, more than the limit of {limit}")


def fit(size: tuple[int, int], box: int) -> tuple[int, int]:
    """Return the largest size with the aspect of `size` within `box` x `box`, not enlarged, at least 1 x 1 pixel."""
    factor = min(1.0, box / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def reduction(size: tuple[int, int], box: int) -> float:
    """Return the factor per side by which a picture of `size` may be reduced for thumbnails of up to `box` pixels."""
    width, height = fit(size, box)
    return min(size[0] / width, size[1] / height) / OVERSAMPLING


def is_uniform(image: Image.Image) -> bool:
    """Return whether all pixels of `image` look the same: of one colour, or clear."""
    return _is_one_colour(_sample(image)) and _is_one_colour(image)


def without_clear_alpha(image: Image.Image) -> Image.Image:
    """Return `image` without its alpha when all of it is clear and yet has colours: its alpha was never meant."""
    if not (image.mode in _ALPHA_MODES and _is_clear(_sample(image)) and _is_clear(image)):
        return image
    colours = image.convert(image.mode[:-1])
    return image if is_uniform(colours) else colours


def _sample(image: Image.Image) -> Image.Image:
    return image.resize((_SAMPLES, _SAMPLES), Image.Resampling.NEAREST)


def _is_clear(image: Image.Image) -> bool:
    return image.mode in _ALPHA_MODES and image.getchannel("A").getextrema() == (0, 0)


def _is_one_colour(image: Image.Image) -> bool:
    return _is_clear(image) or all(low == high for low, high in (band.getextrema() for band in image.split()))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return `image` turned as its EXIF orientation says; `image` itself when that is nothing to do."""
    transposition = _TRANSPOSITIONS.get(orientation)
    return image if transposition is None else image.transpose(transposition)


def black_and_white(low: float, high: float) -> tuple[float, float]:
    """Return the numbers shown as black and as white, for measurements between `low` and `high`.

    These are 0 and 1, or 0 and 255, when the measurements seem to have that range; otherwise `low` and `high`.
    """
    for white in (1, 255):
        if low >= 0 and white / 2 < high <= white:
            return 0, white
    return low, (high if high > low else low + 1)


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1_000_000:,.4g}" if pixels < 10_000_000 else f"{round(pixels / 1_000_000):,}"
