"""Pictures that the checks upload, and tests of pictures that they download."""

import io
from typing import Any

from PIL import Image

TAKEN = "2012:02:02 13:48:41"
"""Capture date in the EXIF data of `photograph`."""

RED, BLUE = (200, 30, 30), (30, 30, 200)

_TIME_TAKEN, _POSITION, _ORIENTATION = 0x9003, 0x8825, 0x0112
_EXIF_DIRECTORY = 0x8769

_POSITION_IN_XMP = "GPSLatitude"
_XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:{_POSITION_IN_XMP}="38,57.5N"/>
</rdf:RDF></x:xmpmeta>""".encode()


def photograph(size: tuple[int, int] = (600, 400), orientation: int = 1) -> bytes:
    """Return a JPEG of `size` pixels with the EXIF data of a camera: time, position and orientation.

    The position is also in its XMP data, as Lightroom and others write it.
    """
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    exif.get_ifd(_EXIF_DIRECTORY)[_TIME_TAKEN] = TAKEN
    exif.get_ifd(_POSITION)[1] = "N"
    exif.get_ifd(_POSITION)[2] = (38.0, 57.0, 30.0)
    return _encoded(Image.radial_gradient("L").resize(size).convert("RGB"), "JPEG", exif=exif, xmp=_XMP)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (300, 200), kind: str = "JPEG") -> bytes:
    """Return a picture of one colour."""
    return _encoded(Image.new("RGB", size, colour), kind)


def pages() -> bytes:
    """Return a TIFF of three pages, the first one red."""
    rest = [Image.new("RGB", (300, 200), BLUE)] * 2
    return _encoded(Image.new("RGB", (300, 200), RED), "TIFF", save_all=True, append_images=rest)


def has_position(image: Image.Image) -> bool:
    """Return whether the EXIF or XMP data of `image` tell where it was taken."""
    in_exif = bool(image.getexif().get_ifd(_POSITION))
    return in_exif or any(_POSITION_IN_XMP in str(value) for value in image.info.values())


def shows(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    """Return whether the middle of `image` has about this colour."""
    pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    return isinstance(pixel, tuple) and all(abs(is_ - should) < 40 for is_, should in zip(pixel, colour, strict=True))


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
