"""The use cases: what can be done with an asset, without a word of HTTP."""

import json
from collections.abc import Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from was_daemon.catalogue.checksums import Recorder
from was_daemon.concurrency.locks import KeyLocks
from was_daemon.derivatives.cache import Thumbnails
from was_daemon.derivatives.owners import possible_owners
from was_daemon.derivatives.refusals import Refusals
from was_daemon.derivatives.stored import content_of
from was_daemon.library.collections import Collections
from was_daemon.library.quotas import Quotas, Reservation
from was_daemon.library.redirects import AssetUrl, OpenAsset, Recipient, Redirects
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetExists, AssetNotFound, BrokenImage, Overloaded
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    ICreates,
    ILocalFiles,
    IStagingFile,
    IThumbnails,
)
from was_daemon.model.keys import AssetKey, ThumbnailAddress
from was_daemon.model.media import media_type, type_of_extension
from was_daemon.model.redirect import Redirect
from was_daemon.telemetry.metrics import Metrics
from was_daemon.workers.commands import ReadMetadata
from was_daemon.workers.pool import WorkerPool

_ATTEMPTS = 5
"""How often a thumbnail is made anew for one request, because its original changed meanwhile."""


class Assets:
    """The assets of all collections. Every method raises what the store it touches raises."""

    _log = Logger()

    def __init__(
        self,
        collections: Collections,
        thumbnails: Thumbnails,
        locks: KeyLocks[AssetKey],
        spool: Spool,
        pool: WorkerPool,
        overwrite: bool = True,
        warm: Sequence[int] = (),
        metrics: Metrics | None = None,
        recorder: Recorder | None = None,
        quotas: Quotas | None = None,
        redirects: Redirects | None = None,
    ) -> None:
        metrics = metrics or Metrics()
        delivered = metrics.thumbnails
        self._delivered = {source: delivered.labels(source) for source in ("store", "kept", "made")}
        self._quotas = quotas or Quotas.alone(metrics)
        self._redirects = redirects or Redirects(collections)
        self._collections = collections
        self._thumbnails = thumbnails
        self._locks = locks
        self._spool = spool
        self._pool = pool
        self._unreadable = Refusals()
        self._overwrite = overwrite
        self._warm = warm
        self._recorder = recorder or Recorder()
        self._warming: set[Deferred[None]] = set()

    async def open(self, key: AssetKey) -> IAssetReader:
        """Open an original; the caller closes it. Raises `AssetNotFound`."""
        return await self._collections.place(key).store.open(key)

    async def deliver(self, key: AssetKey, recipient: Recipient, scale: int | None = None) -> OpenAsset | AssetUrl:
        """Fire with an original, or with its thumbnail of `scale`, opened here or at the URL that its store has for it.

        Raises what `open` and `thumbnail` raise.
        """
        if scale is None:
            return await self._deliver_original(key, recipient)
        return await self._deliver_thumbnail(key, recipient, scale)

    async def _deliver_original(self, key: AssetKey, recipient: Recipient) -> OpenAsset | AssetUrl:
        redirect, kind = self._redirects.original(key, recipient), media_type(key.name)
        if redirect is Redirect.PRESIGNED:
            return await self._redirects.url(key, kind, recipient.download_name)
        nginx_path = self._redirects.nginx_path(key) if redirect is Redirect.NGINX else None
        return OpenAsset(await self.open(key), kind, nginx_path)

    async def _deliver_thumbnail(self, key: AssetKey, recipient: Recipient, scale: int) -> OpenAsset | AssetUrl:
        redirect = self._redirects.thumbnail(key, recipient)
        is_elsewhere = redirect is Redirect.PRESIGNED
        reader, kind = await self.thumbnail(key, scale, recipient.address, fetch=not is_elsewhere)
        if is_elsewhere:
            await reader.close()
            return await self._redirects.url(key.thumbnail(scale), kind, recipient.download_name)
        nginx_path = self._redirects.nginx_path(key.thumbnail(scale)) if redirect is Redirect.NGINX else None
        return OpenAsset(reader, kind, nginx_path)

    async def thumbnail(self, key: AssetKey, scale: int, client: str, fetch: bool = True) -> tuple[IAssetReader, str]:
        """Open the thumbnail of an original, which is made first when there is none; the caller closes it.

        Fires with the media type, too. `client` takes turns with others when there is much to do. Of a stored
        one only the mark is read without `fetch`, for who does not want its bytes. Raises `AssetNotFound` (no such
        original), `NoThumbnail`, `BrokenImage`, `Overloaded`.
        """
        place = self._collections.place(key)
        store = place.store
        if place.makes_thumbnails:
            opened = await IThumbnails(store).thumbnail(key, scale)
            self._delivered["store"].inc()
            return opened
        for _ in range(_ATTEMPTS):
            original = await store.stat(key)
            reader, source = await self._thumbnails.find(key, original, scale, fetch), "kept"
            if not reader:
                reader, source = await self._thumbnails.make(key, original, scale, client), "made"
            if reader:
                self._delivered[source].inc()
                return reader, type_of_extension(key.thumbnail_extension)
        raise Overloaded("the original keeps changing")

    async def existing_thumbnail(self, address: ThumbnailAddress) -> tuple[IAssetReader, str]:
        """Open a stored thumbnail, if it is one of an original's current version; the caller closes it.

        Fires with the media type, too. Raises `AssetNotFound`.
        """
        place = self._collections.place(address.key)
        for key in await possible_owners(self._collections, address):
            with suppress(AssetNotFound):
                if place.makes_thumbnails:
                    return await IThumbnails(place.store).thumbnail(key, address.scale)
                reader = await self._thumbnails.find(key, await place.store.stat(key), address.scale)
                if reader:
                    return reader, media_type(address.key.name)
        raise AssetNotFound("no such asset")

    async def metadata(self, key: AssetKey, client: str) -> list[dict[str, Any]]:
        """The metadata of an original, as the contract's section 3 describes it; raises `AssetNotFound`."""
        store = self._collections.place(key).store
        original = await store.stat(key)
        self._unreadable.check(key, original)
        with await self._spool.open(store, key, original.etag) as source:
            answer = await self._spool.stage()
            try:
                await self._pool.submit(ReadMetadata, client, [source, answer]).done
                document = await content_of(answer)
                if document is None:
                    raise BrokenImage("the metadata is too long")
            except BrokenImage as refusal:
                # A file that was deleted meanwhile cannot be read either: then this raises `AssetNotFound`.
                if (await store.stat(key)).etag == original.etag:
                    self._unreadable.add(key, original, refusal)
                raise
            finally:
                answer.discard()
        fields: list[dict[str, Any]] = json.loads(document)
        return fields

    async def stage(self, near: AssetKey | None) -> IStagingFile:
        """Open a file for an upload; its caller gives it to `put` or discards it.

        `near` is the key it will have, or None when that is not known yet. Raises `AssetExists`, if it shows already.
        """
        if near and not self._overwrite:
            self._check_replaceable(await self._exists(near))
        store = (self._collections.place(near) if near else self._collections.default).store
        staged = await (ILocalFiles(store).stage(near) if ILocalFiles.providedBy(store) else self._spool.stage())
        return self._recorder.watch(staged)

    async def make_room(self, key: AssetKey, size: int) -> Reservation | None:
        """Keep room in the collection's quota for an upload of at least `size` bytes; None when it has none.

        Its caller gives it to `put`, and releases it. Raises `QuotaExceeded`.
        """
        return await self._quotas.room(self._collections.place(key).store, key, size)

    async def put(self, key: AssetKey, staged: IStagingFile, room: Reservation | None = None) -> AssetStat:
        """Make `staged` the original `key`, safely stored, and forget the thumbnails of the one it replaces.

        `room` is what `make_room` kept for it. The thumbnails of the scales `warm` are made in the background. Raises
        `AssetExists` where replacing is forbidden, and `NoSpace`; the store is unchanged then.
        """
        stored = await self._locks.run(key, lambda: self._put(key, staged, room))
        if self._warm and not self._collections.place(key).makes_thumbnails:
            self._begin_warming(key)
        return stored

    def _begin_warming(self, key: AssetKey) -> None:
        task = Deferred.fromCoroutine(self._thumbnails.warm(key, self._warm))
        self._warming.add(task)

        def end(outcome: Failure | None) -> None:
            self._warming.discard(task)
            if isinstance(outcome, Failure) and not outcome.check(CancelledError):
                self._log.failure("Could not warm {key}", outcome, key=key)

        task.addBoth(end)

    async def settled(self) -> None:
        """Wait until nothing goes on that no request waits for."""
        for task in list(self._warming):
            ended: Deferred[None] = Deferred()
            task.chainDeferred(ended)
            await ended
        await self._thumbnails.settled()

    def withdraw(self) -> None:
        """Give up what is done for no request; what a worker is at already is let finish."""
        self._quotas.stop()
        for task in list(self._warming):
            task.cancel()

    async def _put(self, key: AssetKey, staged: IStagingFile, room: Reservation | None) -> AssetStat:
        place = self._collections.place(key)
        exists = await self._exists(key)
        self._check_replaceable(exists)
        async with self._quotas.changing(place.store, key, staged, room):
            # First, so that none outlives its original should the daemon be killed in between.
            await self._forget_thumbnails(key, is_new=not exists)
            async with self._recorder.changing(place.name, key, staged):
                stored = await self._store(place.store, key, staged)
        await self._recorder.confirm(place.name, key, stored, partial(place.store.stat, key))
        return stored

    async def _store(self, store: IAssetStore, key: AssetKey, staged: IStagingFile) -> AssetStat:
        if not self._overwrite and ICreates.providedBy(store):
            return await ICreates(store).create(staged, key)
        if ILocalFiles.providedBy(store):
            return await ILocalFiles(store).adopt(staged, key)
        async with aclosing(staged.read()) as chunks:
            return await store.write(key, chunks, await staged.size())

    def _check_replaceable(self, exists: bool) -> None:
        if exists and not self._overwrite:
            raise AssetExists("an asset of this name exists")

    async def _exists(self, key: AssetKey) -> bool:
        try:
            await self._collections.place(key).store.stat(key)
        except AssetNotFound:
            return False
        return True

    async def delete(self, key: AssetKey) -> None:
        """Remove an original and all of its thumbnails, left-over ones too; raises `AssetNotFound`."""
        await self._locks.run(key, lambda: self._delete(key))

    async def _delete(self, key: AssetKey) -> None:
        await self._forget_thumbnails(key)
        place = self._collections.place(key)
        async with self._quotas.changing(place.store, key), self._recorder.changing(place.name, key):
            await place.store.delete(key)

    async def _forget_thumbnails(self, key: AssetKey, is_new: bool = False) -> None:
        if not self._collections.place(key).makes_thumbnails:
            await (self._thumbnails.forget_remains(key) if is_new else self._thumbnails.forget(key))
