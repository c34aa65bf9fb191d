"""The WebDAV store: assets on Nextcloud, ownCloud, Apache, nginx or a NAS, as files in the official layout.

An upload goes to a temporary name in a directory of its own, and is moved over the final one. Where the server cannot
move, the upload is put in place directly, and the server decides how much of it a reader sees before it is complete.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from posixpath import dirname

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import AssetError, AssetNotFound, BadName, CannotMove, StoreFailed, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IMoves, IQuirks, ISizes, IUnfinished
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.auth import FixedLogin, Login
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.reader import HTTPReader
from was_daemon.stores.http.transport import trusted_only
from was_daemon.stores.http.urls import as_sent
from was_daemon.stores.plugin import StorePlugin
from was_daemon.stores.webdav.listing import entries_of, files
from was_daemon.stores.webdav.moves import MoveTrial, Names
from was_daemon.stores.webdav.options import WebDAVOptions
from was_daemon.stores.webdav.relocation import relocate
from was_daemon.stores.webdav.tree import DavTree

_TICK_SECONDS = 1.05
"""Time after which a server whose clock counts whole seconds gives a new file another time."""


@implementer(IAssetStore, IMoves, IQuirks, ISizes, IUnfinished)
class WebDAVStore:
    """Assets on one WebDAV server, below the URL of the options."""

    _log = Logger()

    def __init__(self, options: WebDAVOptions) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._options = options
        self._layout = options.layout
        self._base = as_sent(options.url).rstrip("/") + "/"
        self._connected: HTTPRemote | None = None
        self._stranger: HTTPRemote | None = None
        self._tree = DavTree(str(self), self._clock, self._base, self._remote, self._without_login)
        self._moves = MoveTrial(self._tree)
        # Some servers delete the old version before they move the new one in, or send a new one as the old.
        self._locks = KeyLocks[AssetKey]()
        self._recent: dict[tuple[AssetKey, int], float] = {}
        """Time of the last write of each asset and size, where an etag is made of whole seconds."""

    def __str__(self) -> str:
        return f"files at {self._base}, by WebDAV"

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        async with self._locks.shared(key):
            return await self._tree.look(self._tree.url(self._layout.path(key)))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        url = self._tree.url(self._layout.path(key))

        async def get(headers: dict[str, str]) -> Answer:
            async with self._locks.shared(key):
                return await self._tree.get(url, headers)

        return HTTPReader(get, await self.stat(key), partial(self.stat, key))

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
        async with aclosing(files(self._tree, directory, depth)) as listed:
            async for path, _ in listed:
                try:
                    key = self._layout.parse(path)
                except BadName:
                    continue
                if key.name.startswith(prefix):
                    yield key

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        directory = f"{collection}/{Kind.ORIGINAL.value}".lstrip("/")
        async with aclosing(files(self._tree, directory, 2 if self._layout is Layout.SHARDED else 0)) as listed:
            async for _, size in listed:
                if size is None:
                    raise StoreFailed("the store does not tell the sizes of its files")
                yield size

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        upload = await Upload.of(chunks, size)
        await self._await_another_second(key, upload)
        if await self._can_move_to(key):
            stat = await self._write_and_move(key, upload)
        else:
            stat = await self._write_in_place(key, upload)
        if _counts_seconds(stat):
            self._recent[key, stat.size] = self._clock.seconds()
        return stat

    async def _can_move_to(self, key: AssetKey) -> bool:
        """Fire with whether the server can move a file to the place of this asset, also if there is one."""
        moves, path = await self._moves.result(), self._layout.path(key)
        if moves.names is Names.NONE or (moves.names is Names.PLAIN and re.search("[?;#]", path)):
            return False
        if moves.replaces:
            return True
        try:
            await self.stat(key)
        except AssetNotFound:
            return True
        return False

    async def _await_another_second(self, key: AssetKey, upload: Upload) -> None:
        """Wait until the new version cannot have the etag of one that was just written."""
        now = self._clock.seconds()
        self._recent = {version: time for version, time in self._recent.items() if time + _TICK_SECONDS > now}
        times = [
            time
            for (other, size), time in self._recent.items()
            if other == key and upload.length in (size, UNKNOWN_LENGTH)
        ]
        if times:
            await deferLater(self._clock, max(times) + _TICK_SECONDS - now)

    async def _write_and_move(self, key: AssetKey, upload: Upload) -> AssetStat:
        path = self._layout.path(key)
        temporary = await self._tree.staging.new_path(f"{key.collection}/{key.kind.value}".lstrip("/"))
        try:
            await self._tree.put(temporary, upload)
            async with self._locks.exclusive(key):
                await self._tree.move(temporary, path)
                # Not before: wsgidav fails to list a directory that a file is moved out of meanwhile.
                self._tree.staging.uploads.sweep_if_due(dirname(temporary))
                return await self._look_at_moved(path, upload, temporary)
        except BaseException:
            self._tree.staging.uploads.discard(temporary)
            raise

    async def _look_at_moved(self, path: str, upload: Upload, temporary: str) -> AssetStat:
        """Fire with the version at `path`, to which `temporary` was moved, or a later one of another client."""
        try:
            stat = await self._tree.look(self._tree.url(path))
            if stat.size == upload.size or not await self._tree.is_there(self._tree.url(temporary)):
                return stat
        except AssetNotFound:
            pass
        raise StoreFailed("the store did not move the upload to its place")

    async def _write_in_place(self, key: AssetKey, upload: Upload) -> AssetStat:
        path = self._layout.path(key)
        url = self._tree.url(path)
        async with self._locks.exclusive(key):
            answer = await self._remote().call("HEAD", url)
            tag = answer.header("ETag") or ""
            headers = {"If-None-Match": "*"} if answer.code == 404 else {}
            if answer.code == 200 and tag.startswith('"'):
                headers = {"If-Match": tag}
            await self._tree.put(path, upload, headers)
            return await self._tree.look(url)

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        async with self._locks.exclusive(key):
            answer = await self._remote().call("DELETE", self._tree.url(self._layout.path(key)))
        if answer.code == 404:
            if answer.repeated:
                return
            raise AssetNotFound("no such asset")
        answer.expect(200, 204)
        # Servers say 204. A page that asks for a login comes with 200.
        if answer.code == 200 and await self._tree.is_there(self._tree.url(self._layout.path(key))):
            raise StoreFailed("the store did not delete the asset")

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        if replace and not (await self._moves.result()).replaces:
            raise CannotMove("the server moves no file over another")
        await self._relocate("MOVE", source, target, replace)

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`."""
        await self._relocate("COPY", source, target, replace=False)

    async def _relocate(self, method: str, source: AssetKey, target: AssetKey, replace: bool) -> None:
        moves, paths = await self._moves.result(), (self._layout.path(source), self._layout.path(target))
        # A `Destination` at which the server cuts names is no use; it is the same for both methods.
        if moves.names is Names.NONE or (moves.names is Names.PLAIN and re.search("[?;#]", paths[1])):
            raise CannotMove("the server moves no files to such names")
        first, second = sorted((source, target), key=self._layout.path)
        async with self._locks.exclusive(first), self._locks.exclusive(second):
            await relocate(self._tree, method, *paths, replace)

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`."""
        try:
            await self._moves.result()
            path = await self._tree.staging.new_path("")
            try:
                await self._tree.put(path, Upload(b"check"))
                self._tree.staging.uploads.sweep_if_due(dirname(path))
                if await (await self._tree.get(self._tree.url(path))).content() != b"check":
                    raise StoreFailed("what was written to the store is not there")
            finally:
                self._tree.staging.uploads.discard(path)
            async with aclosing(entries_of(self._tree, Kind.ORIGINAL.value)) as entries:
                async for _ in entries:
                    break
        except StoreUnavailable:
            raise
        except AssetError as error:
            raise StoreUnavailable(str(error)) from error

    async def quirks(self) -> Sequence[str]:
        """See `IQuirks`."""
        moves = await self._moves.result()
        cost = "readers may get half of it meanwhile, and an upload that breaks off may destroy the old version"
        if moves.names is Names.NONE:
            return [f"the server moves no files (MOVE), so every upload is written in its final place: {cost}"]
        if not moves.replaces:
            return [f"MOVE does not replace files, so a new version is written over the old one: {cost}"]
        return []

    async def register(self, directory: Path) -> None:
        """See `IUnfinished`."""
        await self._tree.staging.uploads.register(directory)

    async def clean(self) -> int:
        """See `IUnfinished`."""
        return await self._tree.staging.uploads.clean()

    async def close(self) -> None:
        """See `IAssetStore`."""
        await self._tree.staging.uploads.close()
        for remote in (self._connected, self._stranger):
            if remote:
                await remote.close()

    def _remote(self) -> HTTPRemote:
        if self._connected is None:
            self._connected = self._client(self._options.login)
        return self._connected

    def _without_login(self) -> HTTPRemote:
        """Return the client of other servers than the store's."""
        if self._stranger is None:
            self._stranger = self._client(lambda: FixedLogin(None))
        return self._stranger

    def _client(self, login: Callable[[], Login]) -> HTTPRemote:
        options = self._options
        try:
            policy = trusted_only(options.ca_file.read_bytes()) if options.ca_file else None
            return HTTPRemote(login(), options.timeout, policy)
        except (OSError, ValueError) as error:
            self._log.error("The files named for {url} are no use: {error}", url=self._base, error=error)
            raise StoreUnavailable("the store's login or certificate file cannot be read") from error


def _counts_seconds(stat: AssetStat) -> bool:
    """Return whether the etag is made of whole seconds (nginx, wsgidav, and ours): two versions might share it."""
    words = re.findall(r"[0-9a-f]+", stat.etag)
    return f"{int(stat.modified):x}" in words or str(int(stat.modified)) in words


webdav = StorePlugin("webdav", WebDAVOptions, WebDAVStore)
