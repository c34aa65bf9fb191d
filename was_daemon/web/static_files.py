"""Files of a page, in memory: each is small, and all change together, with a version of the daemon."""

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable

import attrs
from twisted.web.http import CACHED, Request

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_FOREVER = "public, max-age=31536000, immutable"


@attrs.frozen
class StaticFile:
    """A file that browsers load: its bytes, as they are and compressed by gzip."""

    media_type: str
    content: bytes = attrs.field(repr=False)
    compressed: bytes = attrs.field(repr=False)


@attrs.frozen
class StaticFiles:
    """The files by name; `version` is another one when any of them has changed, and a part of their addresses."""

    version: str
    by_name: Mapping[str, StaticFile]


def read_static_files(directories: Sequence[Traversable]) -> StaticFiles:
    """Return the files in these directories, of which some may be missing."""
    contents: dict[str, bytes] = {}
    for directory in directories:
        if directory.is_dir():
            found = sorted(directory.iterdir(), key=lambda file: file.name)
            contents |= {file.name: file.read_bytes() for file in found if _extension(file.name) in _MEDIA_TYPES}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    return StaticFiles(
        digest.hexdigest()[:16],
        {
            name: StaticFile(_MEDIA_TYPES[_extension(name)], content, gzip.compress(content, mtime=0))
            for name, content in contents.items()
        },
    )


def file_answer(request: Request, file: StaticFile, version: str) -> bytes:
    """Set the headers of an answer with a file, whose address has the version in it; return its body."""
    request.setHeader("Vary", "Accept-Encoding")
    request.setHeader("Cache-Control", _FOREVER)
    # Weak, as it is the same for both encodings (RFC 9110, section 8.8.1).
    if request.setETag(f'W/"{version}"'.encode()) == CACHED:
        return b""
    content = file.content
    if _accepts_gzip(request):
        content = file.compressed
        request.setHeader("Content-Encoding", "gzip")
    request.setHeader("Content-Type", file.media_type)
    request.setHeader("Content-Length", str(len(content)))
    return content


def _accepts_gzip(request: Request) -> bool:
    accepted = (request.getHeader("Accept-Encoding") or "").lower().replace(" ", "")
    return any(each.partition(";")[0] == "gzip" and not each.endswith(";q=0") for each in accepted.split(","))


def _extension(name: str) -> str:
    return name.rpartition(".")[2]
