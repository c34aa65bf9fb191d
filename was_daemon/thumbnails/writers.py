"""A finished picture becomes the bytes of a thumbnail."""

import importlib
from pathlib import Path
from posixpath import splitext
from typing import Any

from PIL import Image

_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".avif": "AVIF",
}
_PLUGINS = {"WEBP": "PIL.WebPImagePlugin", "AVIF": "PIL.AvifImagePlugin"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 82, "optimize": True, "progressive": False},
    "WEBP": {"quality": 82},
    "AVIF": {"quality": 70, "max_threads": 1},
}
_OPAQUE = frozenset({"JPEG", "BMP"})

_OWNER_CHUNK = b"waSr"
"""Ancillary, private, safe to copy: whoever does not know the chunk passes over it (PNG, section 5.4)."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def output_format(thumbnail_name: str) -> str:
    """The format of a thumbnail of that name, as `Output.format` wants it."""
    return _FORMATS.get(splitext(thumbnail_name)[1].lower(), "PNG")


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
    with Path(path).open("wb") as file:
        image.save(file, format, **options)


def png_owner(head: bytes) -> str | None:
    """The owner that `write` recorded in the PNG whose first bytes are `head` (600 are enough), or None."""
    if not head.startswith(_SIGNATURE):
        return None
    at = len(_SIGNATURE)
    while at + 8 <= len(head):
        size = int.from_bytes(head[at : at + 4], "big")
        kind = head[at + 4 : at + 8]
        if kind == _OWNER_CHUNK and at + 8 + size <= len(head):
            return head[at + 8 : at + 8 + size].decode(errors="replace")
        if kind == b"IDAT":
            return None
        at += 12 + size
    return None


def _owner_note(owner: str) -> Any:
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add(_OWNER_CHUNK, owner.encode())
    return note


def _flatten(image: Image.Image) -> Image.Image:
    """`image` on white, without alpha."""
    if image.mode not in ("LA", "RGBA"):
        return image
    white = Image.new(image.mode, image.size, "white")
    return Image.alpha_composite(white.convert("RGBA"), image.convert("RGBA")).convert(image.mode[:-1])
