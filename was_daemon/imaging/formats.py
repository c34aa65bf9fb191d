"""What a thumbnail's name and its first bytes say. The daemon reads this, so no image library is needed here."""

from posixpath import splitext

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

OWNER_CHUNK = b"waSr"
"""Ancillary, private, safe to copy: whoever does not know the chunk passes over it (PNG, section 5.4)."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def output_format(thumbnail_name: str) -> str:
    """The format of a thumbnail of that name, as `Output.format` wants it."""
    return _FORMATS.get(splitext(thumbnail_name)[1].lower(), "PNG")


def png_owner(head: bytes) -> str | None:
    """The owner that the worker recorded in the PNG whose first bytes are `head` (600 are enough), or None."""
    if not head.startswith(_SIGNATURE):
        return None
    at = len(_SIGNATURE)
    while at + 8 <= len(head):
        size = int.from_bytes(head[at : at + 4], "big")
        kind = head[at + 4 : at + 8]
        if kind == OWNER_CHUNK and at + 8 + size <= len(head):
            return head[at + 8 : at + 8 + size].decode(errors="replace")
        if kind == b"IDAT":
            return None
        at += 12 + size
    return None
