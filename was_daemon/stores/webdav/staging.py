"""Files on a WebDAV server that are being uploaded and are no assets yet.

They lie in directories of their own, so that a search for old ones lists no million others. Each has a name that marks
it as a daemon's. No other file is ever removed there, nor one that a live daemon writes.
"""

from collections.abc import Callable
from contextlib import aclosing
from posixpath import basename, dirname

from was_daemon.stores.http.answer import http_time
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.unfinished import UnfinishedUploads
from was_daemon.stores.webdav.members import Members
from was_daemon.stores.webdav.multistatus import parsed

HIDDEN = ".was-staging"
"""Name that no asset can have, other than that of the directory which a filesystem store in the same place empties."""

_PLAIN = "was-staging"
"""Name for servers that refuse a leading dot. It lies beside `originals` and `thumbnails`, as an asset may have it."""

_ENDING = "[?;#%25-]*"
"""Pattern of what was added to a name when MOVE was tried out, as far as the server kept it."""

_PROPFIND = b"""<?xml version="1.0"?>
<propfind xmlns="DAV:"><prop><resourcetype/><getlastmodified/></prop></propfind>"""


class DavStaging:
    """Staging directories of one store: `.was-staging` beside the assets, unless `is_hidden` is made False."""

    def __init__(self, store: str, remote: Callable[[], HTTPRemote], url: Callable[[str], str]) -> None:
        """Make the staging directories of `store`; `url` returns the address of a path."""
        self._remote = remote
        self._url = url
        self.is_hidden = True
        self.uploads = UnfinishedUploads(store, self._find, self._remove, _ENDING)

    async def new_path(self, directory: str) -> str:
        """Return a new path for an upload to `directory`, which holds assets, or is the root."""
        place = f"{directory}/{HIDDEN}" if self.is_hidden else f"{dirname(directory)}/{_PLAIN}"
        return await self.uploads.new_path(place.lstrip("/"))

    async def new_path_beside(self, path: str) -> str:
        """Return a new path in the staging directory of `path`, which may be an asset's or a staged file's."""
        directory = dirname(path)
        if basename(directory) in (HIDDEN, _PLAIN):
            return await self.uploads.new_path(directory)
        return await self.new_path(directory)

    async def _remove(self, path: str) -> bool:
        """Delete a file; fire with whether it is gone."""
        answer = await self._remote().call("DELETE", self._url(path))
        return answer.code in (200, 204, 404)

    async def _find(self, directory: str) -> list[tuple[str, float | None]]:
        """Fire with the names and ages of the files in a staging directory; with none where the server lists none."""
        headers, url = {"Depth": "1", "Content-Type": "application/xml"}, self._url(directory + "/")
        answer = await self._remote().request("PROPFIND", url, headers, Upload(_PROPFIND))
        if answer.code in (404, 405, 501):
            await answer.drain()
            return []
        answer.expect(207)
        now, members = http_time(answer.header("Date")), Members(url, directory, exact=True)
        found: list[tuple[str, float | None]] = []
        async with aclosing(parsed(answer.chunks())) as entries:
            async for entry in entries:
                name = members.name(entry)
                if name is not None and not entry.is_directory:
                    age = None if now is None or entry.modified is None else now - entry.modified
                    found.append((name.decode("ascii", "replace"), age))
        return found
