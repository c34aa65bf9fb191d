"""Media types of assets by their names, and the names of downloads."""

import codecs
import mimetypes
from posixpath import basename, splitext
from urllib.parse import quote

_TYPES = mimetypes.MimeTypes(filenames=())
"""The types in Python's own table, not in this machine's: the same name has the same type everywhere."""

for _extension, _type in {
    ".avif": "image/avif",
    ".cr2": "image/x-canon-cr2",
    ".dng": "image/x-adobe-dng",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".jfif": "image/jpeg",
    ".jp2": "image/jp2",
    ".kml": "application/vnd.google-earth.kml+xml",
    ".kmz": "application/vnd.google-earth.kmz",
    ".md": "text/markdown",
    ".nef": "image/x-nikon-nef",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".psd": "image/vnd.adobe.photoshop",
    ".rss": "application/rss+xml",
    ".webp": "image/webp",
    ".xhtml": "application/xhtml+xml",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}.items():
    _TYPES.add_type(_type, _extension)

TEXT_SAMPLE = 1 << 16
"""Number of first bytes by which `text_type` judges a text."""

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNKNOWN = "application/octet-stream"
_SCRIPTABLE = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml"})


def media_type(name: str) -> str:
    """Return the media type of an asset, by the extension of its name."""
    return type_of_extension(splitext(name)[1])


def type_of_extension(extension: str) -> str:
    """Return the media type of an extension, which starts with a dot or is empty."""
    known = _TYPES.types_map[True]
    return known.get(extension) or known.get(extension.lower()) or _UNKNOWN


def is_text(media_type: str) -> bool:
    """Return whether files of this type are text, whose encoding a browser has to be told."""
    return media_type.startswith("text/")


def text_type(media_type: str, beginning: bytes) -> str:
    """Return the media type of a text with its encoding: UTF-8, or UTF-16 by its mark; unchanged if it is neither.

    `beginning` is the whole text, or its first `TEXT_SAMPLE` bytes. Browsers show UTF-8 that they are not told of in
    the encoding that is usual in their country.
    """
    if not is_text(media_type):
        return media_type
    if beginning.startswith(_UTF16_MARKS):
        return f"{media_type}; charset=utf-16"
    # A longer text is cut, maybe within a character.
    is_whole = len(beginning) < TEXT_SAMPLE
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning, final=is_whole)
    except UnicodeDecodeError:
        return media_type
    # UTF-16 without a mark is valid UTF-8 with NULs.
    return media_type if b"\0" in beginning else f"{media_type}; charset=utf-8"


def runs_scripts(media_type: str) -> bool:
    """Return whether a browser runs scripts in such a file, with the rights of pages of this server."""
    without_encoding = media_type.partition(";")[0]
    return without_encoding in _SCRIPTABLE or without_encoding.endswith("+xml")


def content_disposition(name: str) -> str:
    """Return the Content-Disposition that names a download (RFC 6266, RFC 8187); `name` may contain any character."""
    return "inline; filename*=utf-8''" + quote(basename(name.replace("\\", "/")), safe="")
