"""Files whose content is of another type than the extension of their name says."""

from functools import cache
from posixpath import splitext

from was_daemon.model.media import type_of_extension

_ANYTHING = "application/octet-stream"

_FAMILIES = (
    # Most camera RAW files are TIFF files, and are found to be such.
    frozenset({"image/tiff", "image/x-adobe-dng"}),
    frozenset({"image/heic", "image/heif", "image/avif"}),
    frozenset({"image/jp2", "image/jpx", "image/jpm", "image/j2k", "image/j2c"}),
    frozenset({"image/png", "image/apng", "image/vnd.mozilla.apng"}),
    frozenset({"image/bmp", "image/x-ms-bmp"}),
    frozenset({"image/vnd.adobe.photoshop", "image/x-photoshop"}),
    frozenset({"image/x-icon", "image/vnd.microsoft.icon"}),
    frozenset({"audio/mp4", "video/mp4", "video/quicktime", "video/3gpp", "audio/mp4a-latm", "audio/x-m4a"}),
    frozenset({"audio/ogg", "video/ogg", "application/ogg"}),
    frozenset({"video/matroska", "video/x-matroska", "video/webm", "audio/webm", "audio/x-matroska"}),
    frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}),
    frozenset({"audio/flac", "audio/x-flac"}),
    frozenset({"audio/aiff", "audio/x-aiff"}),
    frozenset({"video/x-msvideo", "video/avi", "video/vnd.avi"}),
    frozenset({"application/xml", "text/xml", "application/xhtml+xml", "text/html", "image/svg+xml"}),
    frozenset({"application/gzip", "application/x-gzip", "application/x-tar"}),
    frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"}),
)
_CONTAINERS = frozenset({"application/zip", "application/x-ole-storage", "text/plain", "application/json", _ANYTHING})
"""Types of contents that files of many formats have, which only their names tell."""

_EXACT = ("image/", "audio/", "video/", "application/pdf")
"""Beginnings of the types whose content is never of such a kind."""

_RAW = "image/x-"
"""Beginning of the types of camera RAW files."""


def oddity(name: str, found: str | None) -> str | None:
    """Return how the type `found` in the content contradicts the extension of `name`, or None."""
    return None if found is None else _oddity(splitext(name)[1].lower(), found.partition(";")[0].strip().lower())


@cache
def _oddity(extension: str, found: str) -> str | None:
    expected = type_of_extension(extension)
    is_container = found in _CONTAINERS and not expected.startswith(_EXACT)
    if expected in (_ANYTHING, found) or is_container or _are_related(expected, found):
        return None
    return f"the content is {found}, and the extension {extension} is that of {expected}"


def _are_related(expected: str, found: str) -> bool:
    if any({expected, found} <= family for family in _FAMILIES):
        return True
    return expected.startswith(_RAW) and (found == "image/tiff" or found.startswith(_RAW))
