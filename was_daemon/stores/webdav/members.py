"""Names of the members of a directory, in whatever way the server spells their addresses in a listing.

RFC 4918 wants absolute addresses or paths (section 8.3). There are servers that give relative ones or bare names, with
double slashes, and, behind proxies, with other hosts and prefixes than they were asked by.
"""

import re
from unicodedata import normalize
from urllib.parse import unquote_to_bytes, urlsplit

from was_daemon.model.errors import StoreFailed
from was_daemon.stores.http.errors import Forbidden
from was_daemon.stores.webdav.multistatus import Entry


class Members:
    """Members of the directory whose listing is read: take each entry by `name`, then call `end`."""

    def __init__(self, url: str, directory: str, exact: bool = False) -> None:
        """Make the members of `directory`, which is what the address `url` ends with.

        If `exact`, entries count only when they lie right in what the listing itself shows as the directory.
        """
        self._asked = _tidied(unquote_to_bytes(urlsplit(url).path))
        self._tail = _folded(f"/{directory}".encode())
        self._exact = exact
        self._base: bytes | None = None
        """Path of the directory as the server spells it."""
        self._is_certain = False
        self._has_files = False

    def name(self, entry: Entry) -> bytes | None:
        """Return the name of a member; None for the directory itself, and for what lies elsewhere.

        Raises `StoreFailed` or `StoreUnavailable` when the entry says that the directory cannot be listed.
        """
        path = _tidied(entry.path if entry.path.startswith(b"/") else self._asked + b"/" + entry.path)
        above, _slash, name = path.rpartition(b"/")
        if self._base is None:
            self._find_base(entry, path, above)
        if path == self._base:
            _check(entry)
            return None
        if not self._holds(above) or entry.status == 404:
            return None
        self._has_files = self._has_files or not entry.is_directory
        return name

    def _find_base(self, entry: Entry, path: bytes, above: bytes) -> None:
        """Take the first entry for the directory, or for one of its members."""
        for base in (path, above):
            if (base == self._asked or self._is_like(base)) and (entry.is_directory or base == above):
                self._base, self._is_certain = base, True
                return
        if entry.is_directory and not self._exact:
            self._base = path

    def _holds(self, above: bytes) -> bool:
        if above == self._base:
            return True
        elsewhere = self._base is None or not above.startswith(self._base + b"/")
        return not self._exact and elsewhere and self._is_like(above)

    def _is_like(self, path: bytes) -> bool:
        return _folded(path).endswith(self._tail)

    def end(self) -> None:
        """Raise `StoreFailed` when nothing in the listing was the directory, or lay in it."""
        if not self._is_certain and not self._has_files:
            raise StoreFailed("the store sent a listing of something else than the directory")


def _tidied(path: bytes) -> bytes:
    return re.sub(rb"/(?:\.?/)+", b"/", path + b"/").removesuffix(b"/")


def _folded(path: bytes) -> str:
    """Return the path as it can be compared where case and composition of letters were changed."""
    return normalize("NFC", path.decode("utf-8", "surrogateescape")).casefold()


def _check(directory: Entry) -> None:
    if directory.status in (401, 403):
        raise Forbidden("the store denied permission")
    if directory.status >= 400 and directory.status != 404:
        raise StoreFailed("the store does not list all of its files")
