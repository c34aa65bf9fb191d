"""Media types of assets by their names, and the names of downloads."""

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

_UNKNOWN = "application/octet-stream"
_SCRIPTABLE = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml"})


def media_type(name: str) -> str:
    """Return the media type of an asset, by the extension of its name."""
    return type_of_extension(splitext(name)[1])


def type_of_extension(extension: str) -> str:
    """Return the media type of an extension, which starts with a dot or is empty."""
    known = _TYPES.types_map[True]
    return known.get(extension) or known.get(extension.lower()) or _UNKNOWN


def runs_scripts(media_type: str) -> bool:
    """Return whether a browser runs scripts in such a file, with the rights of pages of this server."""
    return media_type in _SCRIPTABLE or media_type.endswith("+xml")


def content_disposition(name: str) -> str:
    """Return the Content-Disposition that names a download (RFC 6266, RFC 8187); `name` may contain any character."""
    return "inline; filename*=utf-8''" + quote(basename(name.replace("\\", "/")), safe="")
