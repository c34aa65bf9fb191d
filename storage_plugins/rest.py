"""The REST store: assets in a digital asset management system (DAM) whose API is described in the configuration.

The DAM may have addresses made of names, or ids that a search finds. A new version of an asset with an id is uploaded
beside the old one, which is deleted when the DAM shows the new one; or it replaces the bytes under the same id.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from secrets import token_hex

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import alsoProvides, implementer

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import AssetError, AssetNotFound, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, ISizes
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.reader import HTTPReader
from was_daemon.stores.plugin import StorePlugin
from was_daemon.stores.rest.client import RestClient
from was_daemon.stores.rest.finding import Finder, Found
from was_daemon.stores.rest.options import RestOptions
from was_daemon.stores.rest.uploads import Source, Uploads
from was_daemon.stores.rest.values import MISSING, Checksum

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
"""Seconds between two looks at what a DAM does not show yet; each pause is twice as long as the one before."""


@attrs.frozen
class _Shown:
    """Asset that the DAM shows after an upload, and the versions that it takes the place of."""

    stat: AssetStat
    replaced: list[Found]


@implementer(IAssetStore)
class RestStore:
    """Assets in one DAM, as the options describe its API."""

    _log = Logger()

    def __init__(self, options: RestOptions) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._options = options
        self._client = RestClient(options)
        self._finder = Finder(options, self._client)
        self._uploads = Uploads(options, self._client)
        self._checksum = Checksum.parse(options.checksum) if options.checksum else None
        self._writers = KeyLocks[AssetKey]()
        if options.size is not None and options.info is None:
            alsoProvides(self, ISizes)

    def __str__(self) -> str:
        return f"the DAM at {self._options.url}"

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        return await self._finder.stat(await self._finder.find(key))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        found = await self._finder.find(key)
        stat = await self._finder.stat(found)

        async def get(headers: dict[str, str]) -> Answer:
            return await self._client.send(self._finder.get_request(found), headers)

        async def same() -> AssetStat:
            return stat

        # The bytes under an id are one version, where a new version gets a new id.
        return HTTPReader(get, stat, partial(self.stat, key) if self._options.replaces_in_place else same)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        async with aclosing(self._finder.listed(collection, kind, prefix)) as listed:
            async for key, _item in listed:
                yield key

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`, which is provided if the DAM tells sizes in its results."""
        async with aclosing(self._finder.listed(collection, Kind.ORIGINAL, "")) as listed:
            async for _key, item in listed:
                yield self._finder.listed_size(item)

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        if self._options.put is None:
            raise StoreUnavailable("the store is read-only")
        source = self._uploads.source(chunks)
        async with self._writers.exclusive(key):
            before = await self._finder.find_all(key) if self._options.search is not None else []
            if before and self._options.replace is not None:
                return await self._replace(before[-1], source, size)
            sent = await self._uploads.create(key, source, size)
            try:
                shown = await self._shown(key, {each.id for each in before}, source, created=sent.id)
            except BaseException:
                self._uploads.give_up(sent)
                raise
            await self._remove(shown.replaced)
            return shown.stat

    async def _replace(self, found: Found, source: Source, size: int | None) -> AssetStat:
        old = await self._finder.stat(found)
        await self._uploads.replace(found, source, size)
        return (await self._shown(found.key, set(), source, old)).stat

    async def _shown(
        self,
        key: AssetKey,
        known: set[str],
        source: Source,
        old: AssetStat | None = None,
        created: str | None = None,
    ) -> "_Shown":
        """Fire with the asset that was uploaded, as soon as the DAM shows it.

        It has the id `created`, or one that is not among those `known` before, or another version than `old`.
        Raises `StoreTimeout` or `StoreFailed` when the DAM shows none, or another one than it was sent, until the end
        of `delay`.
        """
        problem: AssetError = StoreTimeout("the store does not show the upload in time")
        async for _ in self._looks():
            try:
                found = await self._finder.find_all(key)
                new = [each for each in found if each.id == (created or each.id) and each.id not in known]
                # The newest may be that of another daemon, which has replaced this one already.
                for one in reversed(new):
                    stat = await self._finder.stat(one)
                    difference = self._difference(one, stat, source, old)
                    if difference is None:
                        # Also those that others have uploaded meanwhile, before this one.
                        index = found.index(one)
                        return _Shown(stat, [*found[:index], *(each for each in found[index:] if each.id in known)])
                    problem = difference
            except AssetNotFound:
                continue
            except StoreFailed as error:
                # Some DAMs do not know the size at first.
                problem = error
        raise problem

    def _difference(self, found: Found, stat: AssetStat, source: Source, old: AssetStat | None) -> StoreFailed | None:
        """Return what shows that this version is not the one that was sent."""
        if stat.size != source.size:
            return StoreFailed("the store kept another number of bytes than it was sent", f"{stat.size} bytes")
        if self._checksum and source.hash and found.document is not MISSING:
            if self._checksum.is_told(found.document, source.hash.digest()):
                return None
            return StoreFailed("the upload arrived damaged in the store")
        if old and old.etag == stat.etag:
            return StoreFailed("the store tells no new version of what was replaced")
        return None

    async def _looks(self) -> AsyncGenerator[None, None]:
        """Yield at once, and then after longer and longer pauses, until `delay` is over."""
        pause, end = _FIRST_PAUSE, self._clock.seconds() + self._options.delay
        yield
        while self._clock.seconds() < end:
            await deferLater(self._clock, pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            yield

    async def _remove(self, replaced: Sequence[Found]) -> None:
        """Delete versions that a newer one has taken the place of. One that cannot be deleted is hidden by that one."""
        for found in replaced:
            try:
                await self._delete(found)
            except AssetError as error:
                self._log.warn("{store} keeps an old version: {error}", store=str(self), error=error)

    async def _delete(self, found: Found) -> int | None:
        """Delete one asset of the DAM; fire with the status of the answer, None if there was no such asset."""
        request = self._client.prepare("delete", found.variables, found.document)
        try:
            return (await self._client.ask(request)).status
        except AssetNotFound:
            return None

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`. All assets of that name go, the newest last, so that no old one takes its place."""
        if self._options.delete is None:
            raise StoreUnavailable(
                "the store is read-only" if self._options.put is None else "the store deletes nothing"
            )
        async with self._writers.exclusive(key):
            found = await self._finder.find_all(key)
            if len(found) > 1 and self._options.duplicates == "refuse":
                raise StoreFailed("the store has several assets of this name")
            statuses = [status for each in found if (status := await self._delete(each)) is not None]
            if not statuses:
                raise AssetNotFound("no such asset")
            if self._options.search is not None or statuses != [204]:
                await self._gone(key, {each.id for each in found})

    async def _gone(self, key: AssetKey, ids: set[str]) -> None:
        """Fire when the DAM shows none of these ids any more; a page that asks for a login may say that all is well."""
        async for _ in self._looks():
            try:
                shown = await self._finder.find_all(key)
                for found in shown:
                    if found.id in ids:
                        await self._finder.stat(found)
            except AssetNotFound:
                return
            if not ids & {each.id for each in shown}:
                return
        raise StoreTimeout("the store still shows what was deleted")

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`. Nothing is written: many DAMs keep what was deleted for ever."""
        key = AssetKey("", Kind.ORIGINAL, f"was-check-{token_hex(16)}")
        try:
            if self._options.check is not None:
                await self._client.step(self._client.prepare("check", {}))
            await self._finder.check_list(key)
            try:
                await self.stat(key)
            except AssetNotFound:
                return
            raise StoreFailed("the store finds assets that nobody has ever uploaded")
        except (StoreUnavailable, StoreTimeout):
            raise
        except AssetError as error:
            raise StoreUnavailable(str(error), error.reason) from error

    async def close(self) -> None:
        """See `IAssetStore`."""
        await self._uploads.close()
        await self._client.close()


rest = StorePlugin("rest", RestOptions, RestStore)
