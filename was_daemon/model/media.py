"""How assets are announced to whoever gets them: their media types, by their names, and the names of downloads."""

import mimetypes
from posixpath import basename, splitext
from urllib.parse import quote

_TYPES = mimetypes.MimeTypes(filenames=())
"""The types that Python knows, not those of this machine: the same name has the same type everywhere."""

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
_ACTIVE = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml"})


def media_type(name: str) -> str:
    """The media type for an asset's name, by its extension."""
    return type_of_extension(splitext(name)[1])


def type_of_extension(extension: str) -> str:
    """The same, by the extension alone; it starts with a dot, or is empty."""
    known = _TYPES.types_map[True]
    return known.get(extension) or known.get(extension.lower()) or _UNKNOWN


def runs_scripts(media_type: str) -> bool:
    """Whether a browser would run somebody's script from such a file, in the name of the server that it came from."""
    return media_type in _ACTIVE or media_type.endswith("+xml")


def content_disposition(name: str) -> str:
    """The header that names a download (RFC 6266, RFC 8187), whatever `name` contains."""
    return "inline; filename*=utf-8''" + quote(basename(name.replace("\\", "/")), safe="")
