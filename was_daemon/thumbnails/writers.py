"""A finished picture becomes the bytes of a thumbnail."""

import importlib
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from was_daemon.thumbnails.formats import OWNER_CHUNK

_PLUGINS = {"WEBP": "PIL.WebPImagePlugin", "AVIF": "PIL.AvifImagePlugin"}
_OPTIONS: dict[str, dict[str, Any]] = {
    # With fewer samples of colour a detailed thumbnail is more than 3 levels from the original.
    "JPEG": {"quality": 82, "subsampling": 0, "optimize": True, "progressive": False},
    "WEBP": {"quality": 82},
    "AVIF": {"quality": 70, "max_threads": 1},
}
_OPAQUE = frozenset({"JPEG", "BMP"})


def write(image: Image.Image, path: str, format: str, owner: str) -> None:  # noqa: A002 - Pillow's word
    """Fill the file at `path` with `image`, which is L, LA, RGB or RGBA; nothing in `image.info` is written."""
    image.info.clear()
    options = dict(_OPTIONS.get(format, {}))
    if format in _OPAQUE:
        image = _flatten(image)
    if format == "PNG":
        options["pnginfo"] = _owner_note(owner)
    if format in _PLUGINS:
        importlib.import_module(_PLUGINS[format])
    # Of a full disk Pillow's encoders do not tell; writing a file does.
    encoded = BytesIO()
    image.save(encoded, format, **options)
    Path(path).write_bytes(encoded.getbuffer())


def _owner_note(owner: str) -> Any:
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add(OWNER_CHUNK, owner.encode())
    return note


def _flatten(image: Image.Image) -> Image.Image:
    """`image` on white, without alpha."""
    if image.mode not in ("LA", "RGBA"):
        return image
    white = Image.new(image.mode, image.size, "white")
    return Image.alpha_composite(white.convert("RGBA"), image.convert("RGBA")).convert(image.mode[:-1])
