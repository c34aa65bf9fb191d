"""Conversion of colours to sRGB."""

from io import BytesIO
from itertools import pairwise
from typing import Any

from PIL import Image

_CONVERTIBLE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}

_STEPS = 16
"""Steps between black and white at which a profile is tried."""

_DARKEST_WHITE, _LIGHTEST_BLACK = 170, 120
"""Levels that white and black may become: paper is no darker, and ink no lighter."""

_MOST_TINTED = 60
"""Levels by which the lightest and the darkest of red, green and blue may differ in white."""

_MOST_DARKENING = 6
"""Levels by which a lighter grey may become darker: of rounding in coarse tables."""

_LEAST_COLOURFUL = 0.05
"""Volume that red, green and blue span in sRGB, where theirs is 1. On a display of half the saturation it is 0.26."""

_PRIMARIES = (-0.5, 1.5)
"""Range of the XYZ values of primaries. Those of the widest working spaces are between -0.1 and 1.1."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert `image` (L, LA, RGB, RGBA, CMYK or LAB) with an ICC profile to L, LA, RGB or RGBA in sRGB.

    A profile that is damaged, made for another colour space, or implausible is ignored.
    """
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert(image.mode[:-1]) if alpha else image
    colours = _apply_profile(colours, profile)
    if alpha:
        colours.putalpha(alpha)
    return colours


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        from PIL import ImageCms

        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if source.profile.xcolor_space.strip() == _CONVERTIBLE[image.mode] and _has_plausible_primaries(source):
                srgb = ImageCms.createProfile("sRGB")
                transform = ImageCms.buildTransform(source, srgb, image.mode, "RGB")
                if _keeps_greys(transform, image.mode) and _keeps_colours(transform, image.mode):
                    converted = transform.apply(image)
                    return converted.convert("L") if image.mode == "L" else converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass
    if image.mode == "LAB":
        return _lab_to_srgb(image)
    return image.convert("RGB") if image.mode == "CMYK" else image


def _has_plausible_primaries(source: Any) -> bool:
    profile = source.profile
    primaries = [each for each in (profile.red_colorant, profile.green_colorant, profile.blue_colorant) if each]
    low, high = _PRIMARIES
    return all(low <= value <= high for xyz, _ in primaries for value in xyz)


def _keeps_greys(transform: Any, mode: str) -> bool:
    """Return whether white stays light, black dark, and what is between in order."""
    steps = range(0, 256, 255 // _STEPS)
    ramp = Image.new(mode, (len(steps), 1))
    for place, step in enumerate(steps):
        ramp.putpixel((place, 0), _grey(mode, step))
    converted = transform.apply(ramp)
    red, green, blue = converted.getpixel((ramp.width - 1, 0))
    is_neutral = max(red, green, blue) - min(red, green, blue) <= _MOST_TINTED
    lightness = converted.convert("L").tobytes()
    is_in_order = all(after >= before - _MOST_DARKENING for before, after in pairwise(lightness))
    return is_neutral and is_in_order and lightness[-1] >= _DARKEST_WHITE and lightness[0] <= _LIGHTEST_BLACK


def _keeps_colours(transform: Any, mode: str) -> bool:
    """Return whether red, green and blue remain three different colours, none of them a mixture of the others."""
    if mode != "RGB":
        return True
    primaries = Image.new(mode, (3, 1))
    for place in range(3):
        primaries.putpixel((place, 0), tuple(255 * (place == band) for band in range(3)))
    (a, b, c), (d, e, f), (g, h, i) = (transform.apply(primaries).getpixel((place, 0)) for place in range(3))
    volume = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return bool(abs(volume) >= _LEAST_COLOURFUL * 255**3)


def _grey(mode: str, step: int) -> Any:
    """Return the pixel of a grey between black (0) and white (255)."""
    if mode == "L":
        return step
    if mode == "LAB":
        return (step, 128, 128)
    return (255 - step,) * 4 if mode == "CMYK" else (step,) * 3


def _lab_to_srgb(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None  # noqa: S101 - only None when told to work in place
    return converted
