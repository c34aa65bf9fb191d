"""The files of the viewer's page, and its template."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

from was_daemon.web.static_files import StaticFile, read_static_files

_LIBRARY = "openseadragon"


@attrs.frozen
class ViewerFiles:
    """The files by name; `version` is another one when any of them has changed, and a part of their addresses."""

    version: str
    by_name: Mapping[str, StaticFile]
    template: str

    @property
    def are_complete(self) -> bool:
        """Whether OpenSeadragon is there, which is fetched when the daemon is built."""
        return f"{_LIBRARY}.js" in self.by_name


def viewer_files(package: Traversable) -> ViewerFiles:
    """Return the files that belong to the package of this module."""
    found = read_static_files([package / "static", package / _LIBRARY])
    return ViewerFiles(found.version, found.by_name, (package / "page.html").read_text("utf-8"))


@cache
def installed_files() -> ViewerFiles:
    """Return the files of this installation, read once."""
    return viewer_files(files(__package__))
