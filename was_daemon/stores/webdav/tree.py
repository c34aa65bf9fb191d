"""Files below the URL of a WebDAV server: uploaded, moved, and looked at."""

from collections.abc import Callable
from posixpath import dirname
from urllib.parse import quote, urlsplit

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import UNKNOWN_LENGTH

from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.reader import asset_stat
from was_daemon.stores.webdav.staging import DavStaging

_WRITTEN_SECONDS = 60
"""Time for which a directory that took an upload is expected to be still there."""


class DavTree:
    """Files below the URL `base`, which ends with a slash. Paths are relative to it."""

    _log = Logger()

    def __init__(self, store: str, clock: IReactorTime, base: str, remote: Callable[[], HTTPRemote]) -> None:
        """Make the tree of `store`; `remote` returns the client of the server, or raises the store's errors."""
        self._clock = clock
        self._base = base
        self.remote = remote
        self.staging = DavStaging(store, remote, self.url)
        # Apache answers 403 to one of two requests that make the same directory at once.
        self._making = DeferredLock()
        self._written: dict[str, float] = {}
        """Time of the last upload to each directory, if none has failed there since."""

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return self._base + quote(path)

    async def look(self, url: str) -> AssetStat:
        """Fire with the version of the file at `url`. Raises `AssetNotFound`."""
        answer = await self.remote().call("HEAD", url)
        if answer.code == 404:
            raise AssetNotFound("no such asset")
        answer.expect(200)
        length = answer.header("Content-Length")
        if length is not None and length.isdecimal():
            return asset_stat(answer, int(length))
        # Apache leaves out a length of 0, and some proxies leave out all.
        answer = await self.remote().request("GET", url)
        answer.close()
        answer.expect(200)
        if answer.length is None:
            raise StoreFailed("the store does not say how long the asset is")
        return asset_stat(answer, answer.length)

    async def put(self, path: str, upload: Upload, headers: dict[str, str] | None = None) -> None:
        """Upload to `path`, whose parents are created when they are missing."""
        directory = dirname(path)
        now = self._clock.seconds()
        self._written = {each: time for each, time in self._written.items() if time + _WRITTEN_SECONDS > now}
        if not upload.is_in_memory and (directory not in self._written or self.remote().may_be_challenged):
            # It cannot be sent again after a 401 or a missing parent: an empty file meets these first.
            ahead = await self.staging.new_path_beside(path)
            await self.put(ahead, Upload(b""))
            self.staging.uploads.discard(ahead)
        try:
            await self._put_with_parents(self.url(path), upload, headers)
        except AssetError:
            self._written.pop(directory, None)
            raise
        self._written[directory] = self._clock.seconds()

    async def _put_with_parents(self, url: str, upload: Upload, headers: dict[str, str] | None) -> None:
        answer = await self.remote().call("PUT", url, headers, upload)
        if answer.code in (404, 409, 500) and upload.repeatable:
            # RFC 4918 wants 409 when the parent is missing; nginx says 500.
            await self._make_parent(url)
            answer = await self.remote().call("PUT", url, headers, upload)
        if answer.code == 412:
            raise StoreUnavailable("the asset was replaced by somebody else at the same time")
        answer.expect(200, 201, 204)
        if upload.length is UNKNOWN_LENGTH and (await self.look(url)).size != upload.size:
            self._log.error("{url} is not as long as its upload: can the server take chunked bodies?", url=url)
            raise StoreFailed("the store did not keep the whole upload")

    async def move(self, source: str, target: str) -> None:
        """Move the file at the URL `source` to the URL `target`, whose parents are created when they are missing."""
        headers = {"Destination": target, "Overwrite": "T"}
        answer = await self.remote().call("MOVE", source, headers)
        if answer.code in (404, 409, 500):
            if answer.repeated and (await self.remote().call("HEAD", source)).code == 404:
                return
            await self._make_parent(target)
            answer = await self.remote().call("MOVE", source, headers)
            if answer.repeated and answer.code == 404:
                return
        answer.expect(200, 201, 204)

    async def _make_parent(self, url: str) -> None:
        async with self._making:
            await self._make_directory(url.rpartition("/")[0] + "/")

    async def _make_directory(self, url: str) -> None:
        """Create the directory at `url`, and its parents that are missing."""
        answer = await self.remote().call("MKCOL", url)
        above = url.rstrip("/").rpartition("/")[0] + "/"
        if answer.code in (404, 409) and urlsplit(above).path.strip("/"):
            await self._make_directory(above)
            answer = await self.remote().call("MKCOL", url)
        # 405: it exists, perhaps since a moment ago.
        answer.expect(200, 201, 204, 405)
