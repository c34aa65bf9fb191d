"""Contents that tell which version of which asset they are, by their bytes and by the colour of their thumbnails."""

import io
from itertools import product
from posixpath import splitext

import attrs
from PIL import Image

Colour = tuple[int, int, int]

SIZE = (120, 80)
"""The width and height of all pictures."""

_COLOURS = list(product((16, 96, 176, 255), repeat=3))
_TOLERANCE = 30
"""How far a thumbnail's colour may be off; the colours of two versions differ by more than twice as much."""

_BLOCK = 1 << 14
_EXIF_IFD = 0x8769
_DATE_TIME_ORIGINAL = 0x9003

_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF"}


@attrs.frozen
class Version:
    """One content of an asset; two of the same bytes, as empty ones are, are equal.

    `colour` is that of its picture, None when it is no picture. `taken` is the time of its photograph, as EXIF writes
    it, None when it does not say.
    """

    content: bytes = attrs.field(repr=False)
    colour: Colour | None = attrs.field(eq=False)
    label: str = attrs.field(eq=False)
    taken: str | None = attrs.field(default=None, eq=False)


def picture(name: str, number: int, padding: int = 0) -> Version:
    """The version `number` of an asset as a picture of a colour that the next 63 versions do not have.

    After the picture come `padding` bytes more, which readers of images pass over.
    """
    colour = _COLOURS[number * 23 % len(_COLOURS)]
    out = io.BytesIO()
    kind = _FORMATS.get(splitext(name)[1], "PNG")
    exif = Image.Exif()
    taken = f"2012:02:02 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}" if kind == "JPEG" else None
    if taken:
        exif.get_ifd(_EXIF_IFD)[_DATE_TIME_ORIGINAL] = taken
    Image.new("RGB", SIZE, colour).save(out, kind, exif=exif)
    label = f"{name} version {number}"
    out.write(label.encode())
    # Whole blocks: versions of one size are the ones that are hard to tell apart.
    out.write(_bytes(number, -out.tell() % _BLOCK + padding))
    return Version(out.getvalue(), colour, label, taken)


def no_picture(name: str, number: int, size: int) -> Version:
    """The version `number` of an asset as `size` bytes of nothing."""
    return Version(_bytes(number, size), None, f"{name} version {number}, {size} bytes of no picture")


def _bytes(number: int, size: int) -> bytes:
    """Bytes that differ from version to version at every place."""
    return bytes((at * 7 + number) % 256 for at in range(256)) * (size // 256) + bytes([number % 256]) * (size % 256)


def colour_of(picture: bytes) -> Colour:
    """The colour in the middle of a picture, which is decoded to its end."""
    image = Image.open(io.BytesIO(picture))
    image.load()
    red, green, blue = image.convert("RGB").getpixel((image.width // 2, image.height // 2))  # type: ignore[misc]
    return red, green, blue


def is_colour(seen: Colour, colour: Colour) -> bool:
    """Whether a picture that shows `seen` was made of one of `colour`."""
    return all(abs(one - other) <= _TOLERANCE for one, other in zip(seen, colour, strict=True))
