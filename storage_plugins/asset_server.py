"""The asset-server store: originals on another Web Asset Server, by its own protocol and key.

That is the official one, the California Academy's, or another daemon like this one. It cannot list what it has, it
keeps originals only, and makes the thumbnails itself.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from functools import partial
from weakref import WeakKeyDictionary

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import (
    AssetError,
    AssetNotFound,
    CannotList,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
)
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IRedirects, IThumbnails, IUnlisted
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.asset_server.form import Form
from was_daemon.stores.asset_server.options import AssetServerOptions
from was_daemon.stores.asset_server.reader import ConfirmedReader, VersionTimes, stat_of
from was_daemon.stores.asset_server.server import Server
from was_daemon.stores.asset_server.thumbnails import current_thumbnail
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.body import READ_AHEAD, Upload
from was_daemon.stores.plugin import StorePlugin

_TICK_SECONDS = 1.05
"""Time after which a server whose clock counts whole seconds gives a new file another time."""

_UPLOADS = 16
"""Uploads at a time: a daemon like this one takes 64 of a client whose token comes last."""


_SAME_TO_GET = frozenset({404, 502, 503, 504, 508})
"""Answers to a HEAD after which no GET is tried."""


@implementer(IAssetStore, IRedirects, IThumbnails, IUnlisted)
class AssetServerStore:
    """Originals on the asset server of the options."""

    def __init__(self, options: AssetServerOptions) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._options = options
        self._server = Server(options, self._clock)
        self._uploads = DeferredSemaphore(_UPLOADS)
        # The official server writes over the old version while it is read, and takes what is half written for a file.
        self._locks = KeyLocks[AssetKey]()
        self._times = VersionTimes()
        self._readers = WeakKeyDictionary[ConfirmedReader, AssetKey]()
        self._thumbnails = KeyLocks[tuple[AssetKey, int]]()
        self._recent: dict[tuple[AssetKey, int | None], float] = {}
        """Time of the last write of each asset and size, and of the last deletion of each asset."""

    def __str__(self) -> str:
        return f"the asset server at {self._options.address}"

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        async with self._locks.shared(key):
            return await self._look(key)

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""

        async def get(headers: dict[str, str]) -> Answer:
            async with self._locks.shared(key):
                return await self._server.ask("GET", self._fields(key), headers)

        look = partial(self.stat, key)
        reader = ConfirmedReader(get, await look(), look)
        self._readers[reader] = key
        return reader

    async def _look(self, key: AssetKey) -> AssetStat:
        if key.kind is not Kind.ORIGINAL:
            raise AssetNotFound("no such asset")
        fields = self._fields(key)
        answer = await (await self._server.ask("HEAD", fields)).drain()
        length = answer.header("Content-Length") or ""
        size = int(length) if length.isdecimal() else None
        if answer.code not in _SAME_TO_GET and (answer.code != 200 or size is None):
            # Not every proxy in front of a server passes a HEAD on.
            answer = await self._server.ask("GET", fields)
            answer.close()
            size = answer.length
        if answer.code == 404:
            await self._server.require_collection(fields)
            raise AssetNotFound("no such asset")
        answer.expect(200)
        if size is None:
            raise StoreFailed("the asset server does not say how long the asset is")
        self._server.has_collection(fields["coll"])
        return self._times.settled(stat_of(answer, size))

    def _fields(self, key: AssetKey) -> dict[str, str]:
        return {"filename": key.name, "coll": self._options.collection_of(key.collection), "type": "O"}

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`. Of other kinds than originals there are none."""
        nothing: tuple[AssetKey, ...] = ()
        if kind is Kind.ORIGINAL:
            raise CannotList(
                "an asset server does not list its files: their names come from a [catalogue], if there is one"
            )
        for key in nothing:
            yield key

    async def thumbnail(self, key: AssetKey, scale: int) -> tuple[IAssetReader, str]:
        """See `IThumbnails`."""

        async def get(scale: int) -> Answer:
            return await self._server.ask("GET", self._fields(key) | {"type": "T", "scale": str(scale)})

        original = await self.stat(key)
        # Sixteen requests for a new one are sixteen conversions to the official server, some of them cut short.
        async with self._thumbnails.exclusive((key, scale)):
            return await current_thumbnail(get, original, scale)

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """See `IRedirects`."""
        await self.stat(key)
        if self._server.signs_reads:
            # Whoever has a token can also delete the file.
            raise StoreUnavailable("the asset server wants tokens for reading: leave out redirect")
        name = {"downloadname": download_name} if download_name else {}
        return self._server.url("fileget", self._fields(key) | name, public=True)

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        if key.kind is not Kind.ORIGINAL:
            raise StoreUnavailable("an asset server keeps originals only, no thumbnails and no trash")
        self._require_writable()
        collection = self._options.collection_of(key.collection)
        fields = {"type": "O", "coll": collection, "store": key.name}
        async with self._uploads, AsyncExitStack() as held:
            form = Form(fields, await self._signing(key, size), key.name)

            async def before_end() -> None:
                await held.enter_async_context(self._locks.exclusive(key))
                await self._await_another_second(key, size)

            async with aclosing(form.chunks(chunks, before_end)) as parts:
                upload = await Upload.of(parts, None if size is None else size + form.overhead)
                return await self._send(key, form, upload)

    async def _signing(self, key: AssetKey, size: int | None) -> Callable[[], str | None]:
        """Fire with the function that makes the token of an upload, at its end."""
        await self._server.learn_time()
        sign = partial(self._server.token, key.name)
        # Others are sent in a moment.
        is_large = size is None or size > READ_AHEAD
        if not is_large or await self._server.takes_late_tokens():
            return sign
        token = sign()
        return lambda: token

    async def _send(self, key: AssetKey, form: Form, upload: Upload) -> AssetStat:
        await self._server.post("fileupload", form, upload)
        stat = await self._look(key)
        self._recent[key, stat.size] = self._clock.seconds()
        if stat.size != upload.size - form.overhead:
            raise StoreFailed("the asset server does not have what it was sent")
        return stat

    async def _await_another_second(self, key: AssetKey, size: int | None) -> None:
        """Wait until a new version cannot have the time and size of one that was just written or deleted."""
        now = self._clock.seconds()
        self._recent = {version: time for version, time in self._recent.items() if time + _TICK_SECONDS > now}
        alike = (key, None), (key, size)
        times = [time for each, time in self._recent.items() if each in alike or (size is None and each[0] == key)]
        if times:
            await deferLater(self._clock, max(times) + _TICK_SECONDS - now)

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        async with self._locks.exclusive(key):
            # The California Academy's server says that it has deleted what is not there.
            stat = await self._look(key)
            self._require_writable()
            await self._server.learn_time()
            fields = {"filename": key.name, "coll": self._options.collection_of(key.collection)}
            form = Form(fields, partial(self._server.token, key.name))
            try:
                await self._server.post("filedelete", form, Upload(form.without_file()))
            except AssetNotFound:
                # Any server answers 404 to addresses that it does not have.
                await self._look(key)
                raise StoreFailed("the asset server says that there is no such asset, and has it") from None
            self._recent[key, None] = self._clock.seconds()
            for reader in [each for each, other in self._readers.items() if other == key]:
                reader.note_deletion(stat)

    def _require_writable(self) -> None:
        if self._options.read_only:
            raise StoreUnavailable("the asset server is only read here: read_only = true")

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`. Writes nothing: the server would record it."""
        options = self._options
        try:
            await self._server.check_key()
            for collection in {*options.collections.values(), *([options.collection] if options.collection else [])}:
                await self._server.require_collection({"filename": "was-daemon", "coll": collection, "type": "O"})
        except (StoreUnavailable, StoreTimeout):
            raise
        except AssetError as error:
            raise StoreUnavailable(str(error)) from error

    async def close(self) -> None:
        """See `IAssetStore`."""
        await self._server.close()


asset_server = StorePlugin("asset-server", AssetServerOptions, AssetServerStore, (Kind.ORIGINAL,))
