"""The files of the viewer's page, in memory: each is small, and all change together, with a version of the daemon."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_LIBRARY = "openseadragon"


@attrs.frozen
class ViewerFile:
    """A file that browsers load: its bytes, as they are and compressed by gzip."""

    media_type: str
    content: bytes = attrs.field(repr=False)
    compressed: bytes = attrs.field(repr=False)


@attrs.frozen
class ViewerFiles:
    """The files by name; `version` is another one when any of them has changed, and a part of their addresses."""

    version: str
    by_name: Mapping[str, ViewerFile]
    template: str

    @property
    def are_complete(self) -> bool:
        """Whether OpenSeadragon is there, which is fetched when the daemon is built."""
        return f"{_LIBRARY}.js" in self.by_name


def viewer_files(package: Traversable) -> ViewerFiles:
    """Return the files that belong to the package of this module."""
    contents: dict[str, bytes] = {}
    for directory in (package / "static", package / _LIBRARY):
        if directory.is_dir():
            found = sorted(directory.iterdir(), key=lambda file: file.name)
            contents |= {file.name: file.read_bytes() for file in found if _extension(file.name) in _MEDIA_TYPES}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    template = (package / "page.html").read_text("utf-8")
    return ViewerFiles(
        digest.hexdigest()[:16],
        {
            name: ViewerFile(_MEDIA_TYPES[_extension(name)], content, gzip.compress(content, mtime=0))
            for name, content in contents.items()
        },
        template,
    )


@cache
def installed_files() -> ViewerFiles:
    """Return the files of this installation, read once."""
    return viewer_files(files(__package__))


def _extension(name: str) -> str:
    return name.rpartition(".")[2]
