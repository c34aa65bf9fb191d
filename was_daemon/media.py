"""The media types of assets, by their names."""

import mimetypes
from posixpath import splitext

_TYPES = mimetypes.MimeTypes(filenames=())
"""The types that Python knows, not those of this machine: the same name has the same type everywhere."""

for _extension, _type in {
    ".avif": "image/avif",
    ".dng": "image/x-adobe-dng",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".jfif": "image/jpeg",
    ".jp2": "image/jp2",
    ".md": "text/markdown",
    ".psd": "image/vnd.adobe.photoshop",
    ".webp": "image/webp",
}.items():
    _TYPES.add_type(_type, _extension)

_UNKNOWN = "application/octet-stream"


def media_type(name: str) -> str:
    """The media type for an asset's name, by its extension."""
    extension = splitext(name)[1]
    known = _TYPES.types_map[True]
    return known.get(extension) or known.get(extension.lower()) or _UNKNOWN
