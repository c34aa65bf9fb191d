"""Encoding of thumbnails."""

import importlib
from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image

from was_daemon.imaging.png_owner import OWNER_CHUNK

_PLUGINS = {"WEBP": "PIL.WebPImagePlugin", "AVIF": "PIL.AvifImagePlugin"}
# fmt: off
_QUALITY_82 = (
    6, 4, 4, 6, 9, 14, 18, 22,
    4, 4, 5, 7, 9, 21, 22, 20,
    5, 5, 6, 9, 14, 21, 25, 20,
    5, 6, 8, 10, 18, 31, 29, 22,
    6, 8, 13, 20, 24, 39, 37, 28,
    9, 13, 20, 23, 29, 37, 41, 33,
    18, 23, 28, 31, 37, 44, 43, 36,
    26, 33, 34, 35, 40, 36, 37, 36,
)
# fmt: on
"""Quantisation table of lightness at libjpeg's quality 82 (ITU T.81, table K.1, times 0.36)."""

_OPTIONS: dict[str, dict[str, Any]] = {
    # Colour is as fine as lightness; otherwise a detailed thumbnail is more than 3 levels from the original.
    "JPEG": {"qtables": [_QUALITY_82], "subsampling": 0, "optimize": True, "progressive": False},
    "WEBP": {"quality": 82},
    "AVIF": {"quality": 70, "max_threads": 1},
}
_HALF = 128
_CLEAR = 255
"""Number of the clear colour in a GIF."""

_OPAQUE = frozenset({"JPEG", "BMP"})


def write_thumbnail(image: Image.Image, target: BinaryIO, format: str, owner: str) -> None:  # noqa: A002 - Pillow's word
    """Encode `image` (L, LA, RGB or RGBA) into the file `target`, without its metadata; a PNG records `owner`."""
    image.info.clear()
    options = dict(_OPTIONS.get(format, {}))
    if format in _OPAQUE:
        image = flatten(image)
    if format == "GIF" and image.mode in ("LA", "RGBA"):
        image, options["transparency"] = with_clear_colour(image)
    if format == "PNG":
        options["pnginfo"] = _owner_note(owner)
    if format in _PLUGINS:
        importlib.import_module(_PLUGINS[format])
    # Encoded in memory first: Pillow's encoders do not report a full disk, writing the file does.
    encoded = BytesIO()
    image.save(encoded, format, **options)
    overwrite(target, encoded.getbuffer())


def overwrite(target: BinaryIO, content: bytes | memoryview) -> None:
    """Replace all content of `target`: a worker that died may have written part of it."""
    target.seek(0)
    target.truncate()
    target.write(content)
    target.flush()


def _owner_note(owner: str) -> Any:
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add(OWNER_CHUNK, owner.encode())
    return note


def with_clear_colour(image: Image.Image) -> tuple[Image.Image, int]:
    """Return `image` in 255 colours and a clear one, and the number of that.

    A pixel that is half clear or more becomes clear. Colours with an alpha of their own, which a GIF cannot have, would
    be drawn opaque where the edges of a picture fade.
    """
    clear = image.getchannel("A").point(lambda value: 255 * (value < _HALF))
    colours = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=_CLEAR)
    colours.paste(_CLEAR, mask=clear)
    return colours, _CLEAR


def flatten(image: Image.Image) -> Image.Image:
    """Return `image` on white, without alpha."""
    if image.mode not in ("LA", "RGBA"):
        return image
    white = Image.new(image.mode, image.size, "white")
    return Image.alpha_composite(white.convert("RGBA"), image.convert("RGBA")).convert(image.mode[:-1])
