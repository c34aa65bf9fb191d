"""The use cases: everything that can be done with an asset, independent of HTTP."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from was_daemon.catalogue.recorder import Recorder
from was_daemon.concurrency.locks import KeyLocks
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.documents import DocumentReader
from was_daemon.derivatives.owners import possible_owners
from was_daemon.derivatives.thumbnails import Thumbnail
from was_daemon.derivatives.warming import Warmer
from was_daemon.library.changes import Change, Participant, participating
from was_daemon.library.collections import Collections, Original
from was_daemon.library.quotas.quotas import Quotas, Reservation
from was_daemon.library.redirects import AssetUrl, OpenAsset, Recipient, Redirects
from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import open_staging_file, own_thumbnail, store_staged
from was_daemon.library.text_types import text_sample
from was_daemon.library.trash.trash import Trash
from was_daemon.model.captions import NO_CAPTION, Caption
from was_daemon.model.charset import text_type
from was_daemon.model.descriptions import Description
from was_daemon.model.errors import AssetExists, AssetNotFound, CannotCreate, Forbidden, Overloaded
from was_daemon.model.interfaces import AssetStat, IAssetReader, ICreates, IStagingFile
from was_daemon.model.keys import AssetKey, ThumbnailAddress
from was_daemon.model.lookup import find_stat
from was_daemon.model.media import is_text, media_type, type_of_extension
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin
from was_daemon.model.redirect import Redirect
from was_daemon.model.trash import Reason, TrashedVersion
from was_daemon.telemetry.metrics import Metrics
from was_daemon.workers.commands import Describe, ReadMetadata
from was_daemon.workers.pool import WorkerPool

if TYPE_CHECKING:
    from was_daemon.catalogue.captions import Captions

_ATTEMPTS = 5
"""Attempts at one thumbnail for one request, each after a change of the original."""


class Assets:
    """The assets of all collections. Every method raises what the store it touches raises.

    The locks of originals are of this process: other daemons may change the same original, see docs/several-daemons.md.
    """

    def __init__(
        self,
        collections: Collections,
        derivatives: Derivatives,
        locks: KeyLocks[AssetKey],
        spool: Spool,
        pool: WorkerPool,
        overwrite: bool = True,
        warmer: Warmer | None = None,
        metrics: Metrics | None = None,
        recorder: Recorder | None = None,
        quotas: Quotas | None = None,
        redirects: Redirects | None = None,
        captions: "Captions | None" = None,
        trash: Trash | None = None,
    ) -> None:
        metrics = metrics or Metrics()
        delivered = metrics.thumbnails
        self._delivered = {source: delivered.labels(source) for source in ("store", "kept", "made")}
        self._quotas = quotas or Quotas(metrics)
        self._redirects = redirects or Redirects(collections)
        self._captions = captions
        self._collections = collections
        self._derivatives = derivatives
        self._locks = locks
        self._spool = spool
        self._documents = DocumentReader(collections, spool, pool)
        self._overwrite = overwrite
        self._warmer = warmer or Warmer(derivatives, [])
        self._recorder = recorder or Recorder()
        self._trash = trash or Trash()

    async def open(self, key: AssetKey) -> IAssetReader:
        """Open an original; the caller closes it. Raises `AssetNotFound`."""
        return await self._collections.place(key).store.open(key)

    async def stat(self, key: AssetKey) -> AssetStat:
        """Fire with the version of an original; raises `AssetNotFound`."""
        return (await self._collections.find(key)).stat

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
            kind = await self._with_encoding(key, kind) if is_text(kind) else kind
            return await self._redirects.url(key, kind, recipient.download_name)
        reader = await self.open(key)
        return OpenAsset(reader, kind, self._redirects.nginx_path(key, reader) if redirect is Redirect.NGINX else None)

    async def _with_encoding(self, key: AssetKey, kind: str) -> str:
        reader = await self.open(key)
        try:
            return text_type(kind, await text_sample(reader, kind))
        finally:
            await reader.close()

    async def _deliver_thumbnail(self, key: AssetKey, recipient: Recipient, scale: int) -> OpenAsset | AssetUrl:
        redirect = self._redirects.thumbnail(key, recipient)
        is_elsewhere = redirect is Redirect.PRESIGNED
        reader, kind = await self.thumbnail(key, scale, recipient.address, fetch=not is_elsewhere)
        if is_elsewhere:
            await reader.close()
            return await self._redirects.url(key.thumbnail(scale), kind, recipient.download_name)
        nginx_path = self._redirects.nginx_path(key.thumbnail(scale), reader) if redirect is Redirect.NGINX else None
        return OpenAsset(reader, kind, nginx_path)

    async def thumbnail(self, key: AssetKey, scale: int, client: str, fetch: bool = True) -> tuple[IAssetReader, str]:
        """Open the thumbnail of an original, made first if there is none; the caller closes it.

        Fires with the reader and the media type. `client` takes turns with other clients when many thumbnails are to be
        made. Without `fetch`, for callers that need no bytes, only the mark of a stored thumbnail is read. Raises
        `AssetNotFound` (no such original), `NoThumbnail`, `BrokenImage`, `Overloaded`.
        """
        place = self._collections.place(key)
        if opened := await own_thumbnail(place, key, scale):
            self._delivered["store"].inc()
            return opened
        recipe = Thumbnail(scale)
        for _ in range(_ATTEMPTS):
            original = Original(place, key, await place.store.stat(key))
            reader, source = await self._derivatives.find(original, recipe, fetch), "kept"
            if not reader:
                reader, source = await self._derivatives.make(original, recipe, client), "made"
            if reader:
                self._delivered[source].inc()
                return reader, type_of_extension(key.thumbnail_extension)
        raise Overloaded("the original keeps changing")

    async def existing_thumbnail(
        self, address: ThumbnailAddress, is_allowed: Callable[[AssetKey], bool]
    ) -> tuple[IAssetReader, str]:
        """Open a stored thumbnail that shows the current version of an original; the caller closes it.

        Fires with the reader and the media type. Raises `AssetNotFound`, or `Forbidden` if it may be of an original
        that is not allowed.
        """
        place = self._collections.place(address.key)
        owners = await possible_owners(self._collections, address)
        allowed = [key for key in owners if is_allowed(key)]
        for key in allowed:
            with suppress(AssetNotFound):
                if opened := await own_thumbnail(place, key, address.scale):
                    return opened
                original = Original(place, key, await place.store.stat(key))
                reader = await self._derivatives.find(original, Thumbnail(address.scale))
                if reader:
                    return reader, media_type(address.key.name)
        if len(allowed) < len(owners):
            raise Forbidden("this thumbnail may be of a private file")
        raise AssetNotFound("no such asset")

    async def metadata(self, key: AssetKey, client: str) -> list[dict[str, Any]]:
        """Fire with the metadata of an original (contract, section 3); raises `AssetNotFound`, `BrokenImage`."""
        fields: list[dict[str, Any]] = await self._documents.read(key, client, ReadMetadata)
        return fields

    async def description(self, key: AssetKey, client: str) -> Description:
        """Fire with the description of an original; raises `AssetNotFound`, `BrokenImage`."""
        return Description.parse(await self._documents.read(key, client, Describe, name=key.name))

    async def caption(self, key: AssetKey) -> Caption:
        """Fire with what the catalogue says of an original, whether or not it exists; without an error, and soon."""
        return await self._captions.find(self._collections.place(key).name, key) if self._captions else NO_CAPTION

    async def stage(self, near: AssetKey | None) -> IStagingFile:
        """Open a file for an upload; the caller passes it to `put` or discards it.

        `near` is the key of the upload, None when that is not known yet. Raises `AssetExists` if `put` would.
        """
        if near:
            await self._check_replaceable(near)
        store = (self._collections.place(near) if near else self._collections.default).store
        return self._recorder.watch(await open_staging_file(store, near, self._spool))

    async def reserve(self, key: AssetKey, size: int) -> Reservation | None:
        """Reserve room in the collection's quota for an upload of at least `size` bytes; None without a quota.

        The caller passes the reservation to `put`, and releases it. Raises `QuotaExceeded`.
        """
        keeps_previous = self._trash.rules.keeps_replaced
        return await self._quotas.reserve(self._collections.place(key).store, key, size, keeps_previous)

    async def put(
        self,
        key: AssetKey,
        staged: IStagingFile,
        reservation: Reservation | None = None,
        origin: Origin = UNKNOWN_ORIGIN,
    ) -> AssetStat:
        """Make `staged` the original `key`, durably, and remove the derivatives of the version it replaces.

        `reservation` comes from `reserve`; the catalogue records `origin`. The warmer then
        makes derivatives in the background. Raises `AssetExists` where replacing is forbidden,
        `QuotaExceeded` and `NoSpace`; the store is unchanged then.
        """
        place = self._collections.place(key)
        stored = await self._locks.run(key, lambda: self._put(Change(place, key, staged, origin), staged, reservation))
        if not place.makes_thumbnails:
            self._warmer.start(Original(place, key, stored))
        return stored

    @property
    def warming(self) -> int:
        """The number of new originals whose derivatives are made before anybody asks for them."""
        return self._warmer.waiting

    async def settled(self) -> None:
        """Wait until all work that no request waits for is done."""
        await self._warmer.settled()
        await self._derivatives.settled()

    def withdraw(self) -> None:
        """Cancel the work that no request waits for; a job that a worker has begun is finished."""
        self._quotas.stop()
        self._warmer.cancel()

    async def _put(self, change: Change, staged: IStagingFile, reservation: Reservation | None) -> AssetStat:
        await self._check_replaceable(change.key)
        async with participating(change, self._participants(change, reservation)):
            change.stored = stored = await self._store(change, staged)
        return stored

    async def _store(self, change: Change, staged: IStagingFile) -> AssetStat:
        store, key = change.place.store, change.key
        if not self._overwrite and ICreates.providedBy(store):
            with suppress(CannotCreate):
                return await ICreates(store).create(staged, key)
        return await store_staged(store, key, staged)

    async def _check_replaceable(self, key: AssetKey) -> None:
        if self._overwrite:
            return
        with suppress(AssetNotFound):
            await self._collections.find(key)
            raise AssetExists("an asset of this name exists")

    async def delete(self, key: AssetKey, origin: Origin = UNKNOWN_ORIGIN) -> None:
        """Remove an original and all of its derivatives, left-over ones too; raises `AssetNotFound`.

        With a trash the original goes there.
        """
        change = Change(self._collections.place(key), key, origin=origin)
        await self._locks.run(key, lambda: self._delete(change))

    async def quarantine(self, key: AssetKey, note: str, version: AssetStat) -> bool:
        """Move an original to the trash, also where deleted ones do not go there, and remove its derivatives.

        `note` says why. Fires with False, and nothing has changed, if there is another version than `version` by now.
        """
        change = Change(self._collections.place(key), key, reason=Reason.QUARANTINED, note=note)

        async def step() -> bool:
            current = await find_stat(change.place.store, key)
            if current is None or current.etag != version.etag:
                return False
            await self._delete(change)
            return True

        return await self._locks.run(key, step)

    async def restore(self, version: TrashedVersion, replace: bool = False) -> None:
        """Make a version in the trash the original again; `replace` puts the one that is there into the trash.

        Raises `AssetNotFound` when it is not in the trash any more, `AssetExists` without `replace`, `QuotaExceeded`.
        """
        key = version.key
        change = Change(self._collections.place(key), key, restored=version)
        await self._locks.run(key, lambda: self._restore(change, replace))

    async def _restore(self, change: Change, replace: bool) -> None:
        if not replace and await find_stat(change.place.store, change.key):
            raise AssetExists("an asset of this name exists")
        async with participating(change, self._participants(change)):
            change.stored = await self._trash.restore(change, replace)

    async def _delete(self, change: Change) -> None:
        async with participating(change, self._participants(change)):
            await self._trash.discard(change)

    def _participants(self, change: Change, reservation: Reservation | None = None) -> list[Participant]:
        change.keeps_previous = self._trash.rules.keep(change)
        # The quota may refuse the change before anything is done. Derivatives go before the original does, so that a
        # daemon that is killed in between leaves none without an original. The version before is kept last of all.
        quota = partial(self._quotas.changing, reservation=reservation)
        return [quota, self._derivatives.changing, self._recorder.changing, self._trash.changing]
