"""Files below the URL of a WebDAV server: uploaded, moved, and looked at."""

from collections.abc import Callable
from contextlib import aclosing, suppress
from posixpath import dirname
from urllib.parse import quote, urlsplit

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.media import media_type
from was_daemon.stores.http.answer import Answer, http_time
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.errors import Forbidden
from was_daemon.stores.http.reader import version
from was_daemon.stores.webdav.multistatus import Entry, parsed
from was_daemon.stores.webdav.redirects import followed
from was_daemon.stores.webdav.staging import DavStaging

_PROPFIND = b"""<?xml version="1.0"?>
<propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"""

_NO_HEAD = (301, 302, 303, 307, 308, 400, 403, 405, 501)
"""Statuses with which servers answer to a HEAD of a file that they let be read."""

NO_PARENT = (403, 404, 409, 500)
"""Statuses for a missing directory: RFC 4918 wants 409, nginx says 500."""

_WRITTEN_SECONDS = 60
"""Time for which a directory that took an upload is expected to be still there."""


class DavTree:
    """Files below the URL `base`, which ends with a slash. Paths are relative to it."""

    _log = Logger()

    def __init__(
        self,
        store: str,
        clock: IReactorTime,
        base: str,
        remote: Callable[[], HTTPRemote],
        stranger: Callable[[], HTTPRemote],
    ) -> None:
        """Make the tree of `store`.

        `remote` returns the client of the server, or raises the store's errors, and `stranger` that of others.
        """
        self._clock = clock
        self._base = base
        self._stranger = stranger
        self.remote = remote
        self.destination: Callable[[str], str] = self.url
        """Function that returns the `Destination` header for the path to which the server moves a file."""
        self.staging = DavStaging(store, remote, self.url)
        # Apache answers 403 to one of two requests that make the same directory at once.
        self._making = DeferredLock()
        self._written: dict[str, float] = {}
        """Time of the last upload to each directory, if none has failed there since."""

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return self._base + quote(path)

    def url_path(self, path: str) -> str:
        """Return the address of a path without the server, for servers that are called otherwise behind a proxy."""
        return urlsplit(self.url(path)).path

    async def get(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        """Fire with the answer to a GET, which may come from where the server sends."""
        return await followed(url, headers or {}, self.remote(), self._stranger)

    async def look(self, url: str) -> AssetStat:
        """Fire with the version of the file at `url`. Raises `AssetNotFound`."""
        answer = await self.remote().call("HEAD", url)
        if answer.code in (404, 410):
            raise AssetNotFound("no such asset")
        if answer.code != 200:
            return await self._look_without_head(url, answer)
        if _may_be_login_page(url, answer) and await self._properties(url) is None:
            raise StoreFailed("the store sent a page instead of the file", "text/html, and no answer to PROPFIND")
        etag, modified = answer.header("ETag"), http_time(answer.header("Last-Modified"))
        length = answer.header("Content-Length") or ""
        # Apache leaves out a length of 0, some proxies leave out all, and some servers say 0 of every file.
        size = int(length) if length.isdecimal() and int(length) else None
        if size and (etag or modified):
            return version(size, etag, modified)
        entry = await self._properties(url)
        if entry and not (etag or modified):
            etag, modified = entry.etag, entry.modified
        if entry and size is None:
            size = entry.size
        return version(await self._length(url) if size is None else size, etag, modified)

    async def _look_without_head(self, url: str, answer: Answer) -> AssetStat:
        if answer.code in _NO_HEAD:
            entry = await self._properties(url)
            if entry and entry.size is not None:
                return version(entry.size, entry.etag, entry.modified)
        answer.expect(200)
        raise AssertionError("unreachable")

    async def _properties(self, url: str) -> Entry | None:
        """Fire with what PROPFIND tells of the file at `url`; None when it tells nothing."""
        entry = await self._entry(url)
        return None if entry is None or entry.is_directory else entry

    async def _entry(self, url: str) -> Entry | None:
        headers = {"Depth": "0", "Content-Type": "application/xml"}
        answer = await self.remote().request("PROPFIND", url, headers, Upload(_PROPFIND))
        if answer.code != 207:
            await answer.drain()
            return None
        with suppress(StoreFailed):
            async with aclosing(parsed(answer.chunks())) as entries:
                async for entry in entries:
                    return entry if entry.status == 200 else None
        return None

    async def _length(self, url: str) -> int:
        answer = (await self.get(url)).expect(200)
        if answer.length is not None:
            answer.close()
            return answer.length
        async with aclosing(answer.chunks()) as chunks:
            if await anext(chunks, b""):
                raise StoreFailed("the store does not say how long the asset is")
        return 0

    async def put(self, path: str, upload: Upload, headers: dict[str, str] | None = None) -> None:
        """Upload to `path`, whose parents are created when they are missing.

        Raises `StoreFailed` when the file there has another size than the upload.
        """
        directory, url = dirname(path), self.url(path)
        now = self._clock.seconds()
        self._written = {each: time for each, time in self._written.items() if time + _WRITTEN_SECONDS > now}
        if not upload.is_in_memory and (directory not in self._written or self.remote().may_be_challenged):
            # It cannot be sent again after a 401 or a missing parent: an empty file meets these first.
            ahead = await self.staging.new_path_beside(path)
            await self.put(ahead, Upload(b""))
            self.staging.uploads.discard(ahead)
            if dirname(dirname(ahead)) != directory != dirname(ahead):
                await self.make_parent(url)
        try:
            await self._put_with_parents(url, upload, headers)
            # A full disk, or a server that takes no chunked body, may cut it short and say nothing.
            if upload.size and (await self._size_of_new(url)) != upload.size:
                self._log.error("{url} is not as long as its upload: can the server take chunked bodies?", url=url)
                raise StoreFailed("the store did not keep the whole upload")
        except AssetError:
            self._written.pop(directory, None)
            raise
        self._written[directory] = self._clock.seconds()

    async def _size_of_new(self, url: str) -> int:
        try:
            return (await self.look(url)).size
        except AssetNotFound:
            return 0

    async def _put_with_parents(self, url: str, upload: Upload, headers: dict[str, str] | None) -> None:
        answer = await self.remote().call("PUT", url, headers, upload)
        if answer.code in NO_PARENT and upload.repeatable:
            await self.make_parent(url)
            answer = await self.remote().call("PUT", url, headers, upload)
        if answer.code == 412:
            raise StoreUnavailable("the asset was replaced by somebody else at the same time")
        answer.expect(200, 201, 204)

    async def is_there(self, url: str) -> bool:
        """Fire with whether there is a file at `url`."""
        try:
            await self.look(url)
        except AssetNotFound:
            return False
        return True

    async def move(self, source: str, target: str) -> None:
        """Move a file, by paths, to where the parents are created when they are missing."""
        answer = await self.move_call(source, target)
        if answer.code in NO_PARENT:
            if answer.repeated and (await self.remote().call("HEAD", self.url(source))).code == 404:
                return
            await self.make_parent(self.url(target))
            answer = await self.move_call(source, target)
            if answer.repeated and answer.code == 404:
                return
        if answer.code == 412:
            raise StoreUnavailable("the asset was replaced by somebody else at the same time")
        answer.expect(200, 201, 204)
        # 201 and 204 are the success of a MOVE (RFC 4918, section 9.9.4). A page that asks for a login comes with 200.
        if answer.code == 200 and await self.is_there(self.url(source)):
            raise StoreFailed("the store did not move the upload to its place")

    async def move_call(self, source: str, target: str, method: str = "MOVE", overwrite: bool = True) -> Answer:
        """Send the request that moves a file, or copies it; fire with the answer, whatever it is."""
        headers = {"Destination": self.destination(target), "Overwrite": "T" if overwrite else "F"}
        return await self.remote().call(method, self.url(source), headers)

    async def make_parent(self, url: str) -> None:
        """Create the directories above `url` that are missing."""
        async with self._making:
            await self._make_directory(url.rpartition("/")[0] + "/")

    async def _make_directory(self, url: str) -> None:
        """Create the directory at `url`, and its parents that are missing."""
        answer = await self.remote().call("MKCOL", url)
        above = url.rstrip("/").rpartition("/")[0] + "/"
        if answer.code in NO_PARENT and urlsplit(above).path.strip("/") and not await self._is_directory(url):
            # Of what lies above, some may be nobody's to create, and be there.
            with suppress(StoreFailed, Forbidden):
                await self._make_directory(above)
            answer = await self.remote().call("MKCOL", url)
        # 405: it exists, perhaps since a moment ago. Others have another word for that.
        if answer.code not in (200, 201, 204, 405) and not await self._is_directory(url):
            answer.expect(201)

    async def _is_directory(self, url: str) -> bool:
        entry = await self._entry(url)
        return entry is not None and entry.is_directory


def _may_be_login_page(url: str, answer: Answer) -> bool:
    """Return whether the answer is a page in HTML, and the name of the file at `url` is that of a picture or film."""
    kind = (answer.header("Content-Type") or "").lower()
    named = media_type(urlsplit(url).path)
    return kind.startswith("text/html") and named.startswith(("image/", "video/", "audio/", "application/pdf"))
