"""The WebDAV store: assets on Nextcloud, ownCloud, Apache, nginx or a NAS, as files in the official layout.

An upload goes to a temporary name in a directory of its own, and is moved over the final one. Where the server cannot
move, it is put in place directly, and how much a reader may see of it half-way is the server's doing.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from enum import Enum
from pathlib import Path
from posixpath import dirname
from urllib.parse import quote, urlsplit

import attrs
from hyperlink import EncodedURL
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import AssetError, AssetNotFound, BadName, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, ISizes, IUnfinished
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.http.auth import FixedLogin, Login, PasswordLogin
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import Answer, HTTPRemote
from was_daemon.stores.http.reader import HTTPReader, asset_stat
from was_daemon.stores.http.transport import trusted_only
from was_daemon.stores.instances import Instance
from was_daemon.stores.plugin import StorePlugin
from was_daemon.stores.webdav.multistatus import Entry, parsed
from was_daemon.stores.webdav.staging import DIRECTORY, DavStaging

_TICK = 1.05
"""Seconds after which a server whose clock counts whole seconds gives a new file another time."""

_RECENT = 60
"""Seconds for which a directory that took an upload is taken to be still there."""

_PROPFIND = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/></prop></propfind>'


class Moves(Enum):
    """What a server's MOVE is good for."""

    ALL = "any name"
    PLAIN = "names without ? ; #"
    NONE = "nothing"


def _counts_seconds(stat: AssetStat) -> bool:
    """Whether the etag is made of whole seconds (nginx, wsgidav, and ours): two versions might share it."""
    words = re.findall(r"[0-9a-f]+", stat.etag)
    return f"{int(stat.modified):x}" in words or str(int(stat.modified)) in words


@attrs.frozen
class WebDAVOptions:
    """`[stores.NAME]` with `plugin = "webdav"`; ValueError when the settings contradict each other.

    `ca_file` holds the certificates, in PEM format, to trust instead of the system's. `timeout` is in seconds without
    progress. Credentials go over plain http only with `allow_http`.
    """

    url: str = attrs.field(validator=lambda _self, _attribute, value: _check_url(value))
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    password_file: SecretFile | None = None
    token_file: SecretFile | None = None
    ca_file: Path | None = None
    allow_http: bool = False
    layout: Layout = Layout.FLAT
    timeout: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))

    def __attrs_post_init__(self) -> None:
        passwords = (self.password is not None) + (self.password_file is not None)
        if (self.user is not None) != (passwords == 1) or passwords > 1:
            raise ValueError("user goes with either password or password_file")
        if self.token_file and self.user is not None:
            raise ValueError("token_file goes without user")
        if (self.token_file or self.user is not None) and not self.allow_http and urlsplit(self.url).scheme == "http":
            raise ValueError("url: a login over plain http needs allow_http = true")

    def login(self) -> Login:
        """The login, its secrets read from their files; OSError."""
        if self.token_file:
            return FixedLogin(f"Bearer {self.token_file.read_text().strip()}")
        if self.user is None:
            return FixedLogin(None)
        if self.password_file:
            return PasswordLogin(self.user, self.password_file.read_text().rstrip("\r\n"))
        return PasswordLogin(self.user, self.password or "")


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("url: an http or https address without ? and # is needed")
    if "@" in parts.netloc:
        raise ValueError("url: user and password have settings of their own")


@implementer(IAssetStore, ISizes, IUnfinished)
class WebDAVStore:
    """Assets on one WebDAV server, below the URL of the options."""

    _log = Logger()

    def __init__(self, options: WebDAVOptions) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._options = options
        self._layout = options.layout
        self._base = EncodedURL.from_text(options.url).to_uri().to_text().rstrip("/") + "/"
        self._connected: HTTPRemote | None = None
        self._moves: Moves | None = None
        self._probing = DeferredLock()
        # Some servers delete the old version before they move the new one in, or send a new one as the old.
        self._locks = KeyLocks[AssetKey]()
        # Apache answers 403 to one of two that make the same directory at once.
        self._making = DeferredLock()
        self._recent: dict[tuple[AssetKey, int], float] = {}
        self._staging = DavStaging(self._remote, self._url, Instance(str(self)))
        self._written: dict[str, float] = {}
        """When each directory last took an upload, if none has failed there since."""

    def __str__(self) -> str:
        return f"files at {self._base}, by WebDAV"

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        async with self._locks.shared(key):
            return await self._look(self._url(self._layout.path(key)))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        url = self._url(self._layout.path(key))

        async def get(headers: dict[str, str]) -> Answer:
            async with self._locks.shared(key):
                return await self._remote().request("GET", url, headers)

        return HTTPReader(get, await self.stat(key))

    async def _look(self, url: str) -> AssetStat:
        answer = await self._remote().call("HEAD", url)
        if answer.code == 404:
            raise AssetNotFound("no such asset")
        answer.expect(200)
        length = answer.header("Content-Length")
        if length is not None and length.isdecimal():
            return asset_stat(answer, int(length))
        # Apache leaves out a length of 0, and some proxies leave out all.
        answer = await self._remote().request("GET", url)
        answer.close()
        answer.expect(200)
        if answer.length is None:
            raise StoreFailed("the store does not say how long the asset is")
        return asset_stat(answer, answer.length)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        directory, depth = f"{collection}/{kind.value}".lstrip("/"), 0
        if self._layout is Layout.SHARDED:
            depth = 2
            if len(prefix) >= 4:
                try:
                    directory, depth = dirname(self._layout.path(AssetKey(collection, kind, prefix))), 0
                except BadName:
                    return
        async with aclosing(self._files(directory, depth)) as files:
            async for path, _ in files:
                try:
                    key = self._layout.parse(path)
                except BadName:
                    continue
                if key.name.startswith(prefix):
                    yield key

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        directory = f"{collection}/{Kind.ORIGINAL.value}".lstrip("/")
        async with aclosing(self._files(directory, 2 if self._layout is Layout.SHARDED else 0)) as files:
            async for _, size in files:
                if size is None:
                    raise StoreFailed("the store does not tell the sizes of its files")
                yield size

    async def _files(self, directory: str, depth: int) -> AsyncGenerator[tuple[str, int | None], None]:
        """The files `depth` directories below `directory`, with their sizes if the server tells them."""
        below: list[str] = []
        async with aclosing(self._entries(directory)) as entries:
            async for name, entry in entries:
                if entry.is_directory and depth and name != DIRECTORY:
                    below.append(f"{directory}/{name}")
                elif not entry.is_directory and not depth:
                    yield f"{directory}/{name}", entry.size
        for subdirectory in below:
            async with aclosing(self._files(subdirectory, depth - 1)) as files:
                async for file in files:
                    yield file

    async def _entries(self, directory: str) -> AsyncGenerator[tuple[str, Entry], None]:
        """What is in `directory`, by name; nothing when it does not exist."""
        headers = {"Depth": "1", "Content-Type": "application/xml"}
        answer = await self._remote().request("PROPFIND", self._url(directory + "/"), headers, Upload(_PROPFIND))
        if answer.code == 404:
            await answer.drain()
            return
        if answer.code in (405, 501):
            await answer.drain()
            raise StoreFailed("the store cannot list its files")
        answer.expect(207)
        # The path in front may be another one than ours: a proxy may have rewritten it.
        parent = f"/{directory}".encode()
        async with aclosing(parsed(answer.chunks())) as entries:
            async for entry in entries:
                above, _slash, name = entry.path.rstrip(b"/").rpartition(b"/")
                if above.endswith(parent):
                    try:
                        yield name.decode(), entry
                    except UnicodeDecodeError:
                        continue

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        upload = await Upload.of(chunks, size)
        await self._outlast(key, upload)
        moves, path = await self._what_moves(), self._layout.path(key)
        if moves is Moves.ALL or (moves is Moves.PLAIN and not re.search("[?;#]", path)):
            stat = await self._write_and_move(key, upload)
        else:
            stat = await self._write_in_place(key, upload)
        if _counts_seconds(stat):
            self._recent[key, stat.size] = self._clock.seconds()
        return stat

    async def _outlast(self, key: AssetKey, upload: Upload) -> None:
        """Wait until the new version cannot have the etag of one that was written a moment ago."""
        now = self._clock.seconds()
        self._recent = {version: time for version, time in self._recent.items() if time + _TICK > now}
        times = [
            time
            for (other, size), time in self._recent.items()
            if other == key and upload.length in (size, UNKNOWN_LENGTH)
        ]
        if times:
            await deferLater(self._clock, max(times) + _TICK - now)

    async def _write_and_move(self, key: AssetKey, upload: Upload) -> AssetStat:
        path = self._layout.path(key)
        temporary = await self._staging.path(f"{key.collection}/{key.kind.value}".lstrip("/"))
        try:
            await self._put(temporary, upload)
            async with self._locks.exclusive(key):
                await self._move(self._url(temporary), self._url(path))
                # Not before: wsgidav fails to list a directory that a file is moved out of meanwhile.
                self._staging.tidy(temporary)
                return await self._look(self._url(path))
        except BaseException:
            self._staging.remove(temporary)
            raise

    async def _write_in_place(self, key: AssetKey, upload: Upload) -> AssetStat:
        path = self._layout.path(key)
        url = self._url(path)
        async with self._locks.exclusive(key):
            answer = await self._remote().call("HEAD", url)
            tag = answer.header("ETag") or ""
            headers = {"If-None-Match": "*"} if answer.code == 404 else {}
            if answer.code == 200 and tag.startswith('"'):
                headers = {"If-Match": tag}
            await self._put(path, upload, headers)
            return await self._look(url)

    async def _put(self, path: str, upload: Upload, headers: dict[str, str] | None = None) -> None:
        """Upload to `path`, whose parents are created when missing."""
        directory = dirname(path)
        now = self._clock.seconds()
        self._written = {each: time for each, time in self._written.items() if time + _RECENT > now}
        if not upload.held and (directory not in self._written or self._remote().may_be_challenged):
            # It cannot be sent again after a 401 or a missing parent: an empty file meets these first.
            ahead = await self._staging.beside(path)
            await self._put(ahead, Upload(b""))
            self._staging.remove(ahead)
        try:
            await self._put_now(self._url(path), upload, headers)
        except AssetError:
            self._written.pop(directory, None)
            raise
        self._written[directory] = self._clock.seconds()

    async def _put_now(self, url: str, upload: Upload, headers: dict[str, str] | None) -> None:
        answer = await self._remote().call("PUT", url, headers, upload)
        if answer.code in (404, 409, 500) and upload.repeatable:
            # RFC 4918 wants 409 when the parent is missing; nginx says 500.
            await self._make_parent(url)
            answer = await self._remote().call("PUT", url, headers, upload)
        if answer.code == 412:
            raise StoreUnavailable("the asset was replaced by somebody else at the same time")
        answer.expect(200, 201, 204)
        if upload.length is UNKNOWN_LENGTH and (await self._look(url)).size != upload.size:
            self._log.error("{url} is not as long as its upload: can the server take chunked bodies?", url=url)
            raise StoreFailed("the store did not keep the whole upload")

    async def _move(self, source: str, target: str) -> None:
        headers = {"Destination": target, "Overwrite": "T"}
        answer = await self._remote().call("MOVE", source, headers)
        if answer.code in (404, 409, 500):
            if answer.repeated and (await self._remote().call("HEAD", source)).code == 404:
                return
            await self._make_parent(target)
            answer = await self._remote().call("MOVE", source, headers)
            if answer.repeated and answer.code == 404:
                return
        answer.expect(200, 201, 204)

    async def _make_parent(self, url: str) -> None:
        async with self._making:
            await self._make_directory(url.rpartition("/")[0] + "/")

    async def _make_directory(self, url: str) -> None:
        """Create the collection at `url`, and those above it that are missing."""
        answer = await self._remote().call("MKCOL", url)
        above = url.rstrip("/").rpartition("/")[0] + "/"
        if answer.code in (404, 409) and urlsplit(above).path.strip("/"):
            await self._make_directory(above)
            answer = await self._remote().call("MKCOL", url)
        # 405: it exists, perhaps since a moment ago.
        answer.expect(200, 201, 204, 405)

    async def _what_moves(self) -> Moves:
        """Try out MOVE, once: OPTIONS says little, and some servers cut names at a percent-encoded `?`."""
        async with self._probing:
            if self._moves is None:
                source = await self._staging.path("")
                await self._put(source, Upload(b""))
                try:
                    self._moves = await self._probe(source)
                finally:
                    self._staging.remove(source)
                if self._moves is not Moves.ALL:
                    self._log.warn("The server of {url} moves {what} only", url=self._base, what=self._moves.value)
            return self._moves

    async def _probe(self, source: str) -> Moves:
        for ending, moves in (("?;#%25", Moves.ALL), ("-", Moves.PLAIN)):
            url, target = self._url(source), self._url(source + ending)
            answer = await self._remote().call("MOVE", url, {"Destination": target, "Overwrite": "T"})
            if answer.code in (200, 201, 204) and (await self._remote().call("HEAD", target)).code == 200:
                self._staging.remove(source + ending)
                return moves
            if answer.code in (401, 429, 500, 503, 504):
                answer.expect(200)
        return Moves.NONE

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        async with self._locks.exclusive(key):
            answer = await self._remote().call("DELETE", self._url(self._layout.path(key)))
        if answer.code == 404:
            if answer.repeated:
                return
            raise AssetNotFound("no such asset")
        answer.expect(200, 204)

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`."""
        try:
            await self._what_moves()
            path = await self._staging.path("")
            try:
                await self._put(path, Upload(b"check"))
                self._staging.tidy(path)
                async with aclosing((await self._remote().request("GET", self._url(path))).chunks()) as chunks:
                    kept = b"".join([chunk async for chunk in chunks])
                if kept != b"check":
                    raise StoreFailed("what was written to the store is not there")
            finally:
                self._staging.remove(path)
            async with aclosing(self._entries(Kind.ORIGINAL.value)) as entries:
                async for _entry in entries:
                    break
        except StoreUnavailable:
            raise
        except AssetError as error:
            raise StoreUnavailable(str(error)) from error

    async def settle(self, directory: Path) -> None:
        """See `IUnfinished`."""
        await self._staging.sweeper.settle(directory)

    async def clean(self) -> int:
        """See `IUnfinished`."""
        return await self._staging.sweeper.clean()

    async def close(self) -> None:
        """See `IAssetStore`."""
        await self._staging.close()
        if self._connected:
            await self._connected.close()

    def _remote(self) -> HTTPRemote:
        if self._connected is None:
            options = self._options
            try:
                policy = trusted_only(options.ca_file.read_bytes()) if options.ca_file else None
                self._connected = HTTPRemote(options.login(), options.timeout, policy)
            except (OSError, ValueError) as error:
                self._log.error("The files named for {url} are no use: {error}", url=self._base, error=error)
                raise StoreUnavailable("the store's login or certificate file cannot be read") from error
        return self._connected

    def _url(self, path: str) -> str:
        return self._base + quote(path)


webdav = StorePlugin("webdav", WebDAVOptions, WebDAVStore)
