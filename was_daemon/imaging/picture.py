"""What readers hand on: a decoded picture that is not yet turned, coloured or scaled."""

import attrs
from PIL import Image

from was_daemon.model.errors import BrokenImage

OVERSAMPLING = 2
"""Readers that can decode at reduced size keep this many times the pixels per side that the thumbnail will have.

Twice leaves the final Lanczos filter all that it can show.
"""


@attrs.frozen
class Picture:
    """A decoded image, at least `OVERSAMPLING` times as large as needed or of its full size.

    `image` is L, LA, RGB, RGBA, CMYK or LAB; `profile` is its ICC profile; `orientation` is the EXIF value, 1 to 8.
    `size` is that of the whole picture; None where a reader takes another picture of the file for another size of
    thumbnails. `extent` is how much of `image` shows the picture: one
    that is decoded at reduced size may end within the last column and row. None is all of it.
    """

    image: Image.Image
    profile: bytes | None = None
    orientation: int = 1
    size: tuple[int, int] | None = None
    extent: tuple[float, float] | None = None


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Raise `BrokenImage` when an image of `size` is beyond the limit; called before anything is decoded."""
    width, height = size
    if width < 1 or height < 1:
        raise BrokenImage("the picture has no pixels")
    if width * height > max_pixels:
        raise BrokenImage(
            f"the picture has {_mega(width * height)} megapixels, more than the limit of {_mega(max_pixels)}"
        )


def fit(size: tuple[int, int], box: int) -> tuple[int, int]:
    """The largest size of the aspect of `size` within `box` x `box` pixels, not larger than `size`, at least 1 x 1."""
    factor = min(1.0, box / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def reduction(size: tuple[int, int], box: int) -> float:
    """How many times smaller than `size` a picture may be decoded, per side, for thumbnails of up to `box` pixels."""
    width, height = fit(size, box)
    return min(size[0] / width, size[1] / height) / OVERSAMPLING


def black_and_white(low: float, high: float) -> tuple[float, float]:
    """What becomes black and white of measurements that run from `low` to `high`.

    Numbers that look like 0 to 1 or 0 to 255 are taken so; of all others the lowest and the highest.
    """
    for white in (1, 255):
        if low >= 0 and white / 2 < high <= white:
            return 0, white
    return low, (high if high > low else low + 1)


def _mega(pixels: int) -> str:
    return f"{pixels / 1_000_000:,.4g}" if pixels < 10_000_000 else f"{round(pixels / 1_000_000):,}"
