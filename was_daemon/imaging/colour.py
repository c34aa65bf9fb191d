"""Conversion of colours to sRGB."""

from io import BytesIO

from PIL import Image

_CONVERTIBLE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert `image` (L, LA, RGB, RGBA, CMYK or LAB) with an ICC profile to L, LA, RGB or RGBA in sRGB.

    A profile that is damaged, or made for another colour space, is ignored.
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
            if source.profile.xcolor_space.strip() == _CONVERTIBLE[image.mode]:
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
                assert converted is not None  # noqa: S101 - only None when told to work in place
                return converted.convert("L") if image.mode == "L" else converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass
    if image.mode == "LAB":
        return _lab_to_srgb(image)
    return image.convert("RGB") if image.mode == "CMYK" else image


def _lab_to_srgb(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None  # noqa: S101 - only None when told to work in place
    return converted
