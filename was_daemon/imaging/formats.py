"""Image format of a thumbnail, by its name. Needs no image library: the daemon imports it."""

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


def output_format(thumbnail_name: str) -> str:
    """Return Pillow's name of the format in which a thumbnail called `thumbnail_name` is written."""
    return _FORMATS.get(splitext(thumbnail_name)[1].lower(), "PNG")
