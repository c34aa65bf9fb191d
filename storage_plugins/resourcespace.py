"""The ResourceSpace store: originals as resources of a digital asset management system (DAM), by its signed API.

Every version is a resource of its own. It gets its name before its file, and is the asset from the moment at which it
has both, since the newest resource with a name counts; the older ones are then deleted.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import (
    AssetError,
    AssetNotFound,
    NoThumbnail,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
)
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IPreviews, IQuirks, IRedirects, ISizes
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.http.auth import FixedLogin
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.reader import HTTPReader
from was_daemon.stores.http.transport import trusted_only
from was_daemon.stores.http.urls import as_sent
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.stores.plugin import StorePlugin
from was_daemon.stores.resourcespace.api import API
from was_daemon.stores.resourcespace.dam import DAM
from was_daemon.stores.resourcespace.files import absolute, get
from was_daemon.stores.resourcespace.leftovers import Leftovers
from was_daemon.stores.resourcespace.names import value_of
from was_daemon.stores.resourcespace.options import ResourceSpaceOptions, zone_of
from was_daemon.stores.resourcespace.previews import MissingPreviews, best, previews_of
from was_daemon.stores.resourcespace.resources import Resource
from was_daemon.stores.resourcespace.trial import Trial
from was_daemon.stores.resourcespace.upload import FileForm

_KINDS = (Kind.ORIGINAL, Kind.TRASH)
"""The kinds of assets that are kept: a DAM is no place for what is made from its files."""

_MOST_OF_PREVIEW = 1 << 24
"""Bytes of a preview, which is read into memory."""


@implementer(IAssetStore, IPreviews, IQuirks, IRedirects, ISizes)
class ResourceSpaceStore:
    """Assets in one ResourceSpace, as resources that its user made, or that others made and that are adopted."""

    _log = Logger()

    def __init__(self, options: ResourceSpaceOptions) -> None:
        self._options = options
        self._zone = zone_of(options.timezone)
        self._base = as_sent(options.url).rstrip("/")
        self._remotes: dict[float, HTTPRemote] = {}
        self._api = API(self._base, options.user, self._key)
        self._leftovers = Leftovers(self._remove, self._zone)
        self._dam = DAM(options, self._base, self._api, self._remote, self._leftovers.abandon)
        self._trial = Trial(self, self._dam, self._leftovers.remove)
        self._missing = MissingPreviews()
        self._locks = KeyLocks[AssetKey]()
        self._is_proven = False
        """Whether a file was written and read: a check does it once, as every file leaves a trace in ResourceSpace."""

    def __str__(self) -> str:
        return f"resources of {self._options.user} in ResourceSpace at {self._base}"

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        return await self._version(await self._find(key))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        resource = await self._find(key)
        stat, address = await self._version(resource), await self._dam.address(resource)
        return HTTPReader(partial(get, self._remote(), address), stat, partial(self._look_again, resource.ref))

    async def _find(self, key: AssetKey) -> Resource:
        if key.kind not in _KINDS:
            raise AssetNotFound("no such asset")
        return await self._dam.find(key)

    async def _look_again(self, ref: int) -> AssetStat:
        """Fire with the version that a resource holds now, also when it is deleted but still there."""
        resource = await self._dam.described(ref)
        if not resource:
            raise AssetNotFound("no such asset")
        return await self._version(resource)

    async def _version(self, resource: Resource) -> AssetStat:
        size = resource.size
        if size is None:
            # Search results of some releases do not tell it, nor does anything where ResourceSpace found the file.
            described = await self._dam.described(resource.ref)
            size = described.size if described else None
        if size is None:
            answer = await get(self._remote(), await self._dam.address(resource), {})
            answer.close()
            size = answer.expect(200).length
        if size is None:
            raise StoreFailed("the store does not say how long the asset is")
        return resource.stat(size, self._zone)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        async with aclosing(self._listed(collection, kind)) as listed:
            async for key, _resource in listed:
                if key.name.startswith(prefix):
                    yield key

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        async with aclosing(self._listed(collection, Kind.ORIGINAL)) as listed:
            async for _key, resource in listed:
                yield (await self._version(resource)).size

    async def _listed(self, collection: str, kind: Kind) -> AsyncGenerator[tuple[AssetKey, Resource], None]:
        """Yield each asset of a kind once, with one of its resources."""
        if kind not in _KINDS:
            return
        seen: set[AssetKey] = set()
        async with aclosing(self._dam.listed()) as listed:
            async for key, resource in listed:
                if (key.collection, key.kind) == (collection, kind) and key not in seen:
                    seen.add(key)
                    yield key, resource

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """See `IRedirects`. Neither the type nor the name can be chosen."""
        return await self._dam.address(await self._find(key))

    async def thumbnail(self, key: AssetKey, scale: int) -> tuple[IAssetReader, str]:
        """See `IPreviews`."""
        resource = await self._find(key)
        version = await self._version(resource)
        if self._missing.has(version.etag, scale):
            raise NoThumbnail("ResourceSpace has no preview of this size")
        told = await self._dam.ask("get_resource_all_image_sizes", resource=resource.ref)
        preview = best(previews_of(told), scale)
        if not preview:
            self._missing.add(version.etag, scale)
            raise NoThumbnail("ResourceSpace has no preview of this size")
        answer = await get(self._remote(), absolute(self._base, preview.address), {})
        content = await answer.expect(200).content(_MOST_OF_PREVIEW)
        stat = AssetStat(len(content), version.modified, f"{version.etag}-{preview.code}-{len(content):x}")
        return MemoryReader(content, stat), "image/jpeg"

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        self._check_writable(key)
        replaced = await self._adopted(key)
        self._leftovers.retry()
        ref = await self._dam.create(key)
        try:
            await self._dam.name(ref, key)
            resource = await self._upload(ref, key, chunks, size)
        except CancelledError:
            self._leftovers.discard(ref)
            raise
        except BaseException:
            await self._leftovers.remove(ref)
            raise
        await self._locks.run(key, lambda: self._delete_others(key, ref, replaced))
        return await self._version(resource)

    def _check_writable(self, key: AssetKey) -> None:
        if self._options.read_only:
            raise StoreUnavailable("ResourceSpace is used read-only here (read_only)")
        if key.kind not in _KINDS:
            raise StoreUnavailable("ResourceSpace keeps originals only: [thumbnails] store must name another store")

    async def _adopted(self, key: AssetKey) -> Resource | None:
        """Fire with the resource of others that a change of an asset concerns; raises when it may not be changed."""
        adopted = await self._dam.adopted(key)
        if adopted and not self._options.adopt_writable:
            raise StoreUnavailable("this file belongs to ResourceSpace, and is changed only there (adopt_writable)")
        return adopted

    async def _upload(self, ref: int, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None) -> Resource:
        """Give a resource its file; fire with what it then is. Raises when that is not the file which was sent."""
        arguments = {"ref": ref, "no_exif": int(not self._options.extract_metadata), "revert": 0}
        form = FileForm(self._api.fields("upload_multipart", arguments), value_of(key), chunks)
        async with aclosing(form.body()) as body:
            upload = await Upload.of(body, form.length(size))
            remote = self._remote(self._options.upload_timeout)
            answer = await self._api.post(remote, "upload_multipart", form.headers, upload)
        await self._api.check_taken(answer, form.size)
        resource = await self._dam.described(ref)
        # What is there may be another file, or the beginning of this one.
        if not resource or resource.size != form.size or resource.checksum not in ("", *form.checksums()):
            raise StoreFailed("the upload arrived damaged in the store", f"resource {ref} holds another file")
        value = value_of(key)
        if not await self._dam.has_value(resource, self._options.name_field, value):
            raise StoreUnavailable(
                "ResourceSpace did not keep the file's name in its field", f"resource {ref} is not called {value!r}"
            )
        return resource

    async def _delete_others(self, key: AssetKey, ref: int, replaced: Resource | None) -> None:
        """Delete the versions that are not the newest, and the adopted resource that they replace."""
        versions = await self._dam.versions(key)
        older = [each.ref for each in versions if each.ref < max(ref, versions[0].ref)] if versions else []
        for each in [*([replaced.ref] if replaced else []), *older]:
            try:
                await self._dam.delete(each)
            except AssetError as error:
                # It does not count any more. The next change of the asset deletes it.
                self._log.warn("Resource {ref} is left: {error}", ref=each, error=error.reason or error)

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        if self._options.read_only:
            self._check_writable(key)
        await self._locks.run(key, lambda: self._delete(key))

    async def _delete(self, key: AssetKey) -> None:
        versions = await self._dam.versions(key) if key.kind in _KINDS else []
        adopted = await self._adopted(key)
        if not versions and not adopted:
            raise AssetNotFound("no such asset")
        # The newest one last, so that no older one becomes the asset.
        for resource in [*([adopted] if adopted else []), *reversed(versions)]:
            await self._dam.delete(resource.ref)

    async def _remove(self, ref: int) -> None:
        """Delete a resource that is no asset, for ever if the user may."""
        await self._dam.delete(ref)
        if not self._options.purge and await self._dam.described(ref):
            await self._dam.act("delete_resource", resource=ref)

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`. Once it has worked, only a search is tried."""
        try:
            if self._is_proven or self._options.read_only:
                await self._dam.user()
                await self._dam.look()
            else:
                await self._trial.check()
                self._is_proven = True
        except (StoreUnavailable, StoreTimeout):
            raise
        except AssetError as error:
            raise StoreUnavailable(error.reason or str(error)) from error

    async def quirks(self) -> Sequence[str]:
        """See `IQuirks`."""
        if self._options.read_only:
            return []
        return await self._trial.quirks(self._options.purge, self._options.name_field)

    async def close(self) -> None:
        """See `IAssetStore`."""
        await self._locks.settled()
        await self._leftovers.finish()
        for remote in self._remotes.values():
            await remote.close()

    def _key(self) -> str:
        try:
            return self._options.key_file.text().strip()
        except (OSError, ValueError) as error:
            self._log.error("{path} is no use: {error}", path=self._options.key_file, error=error)
            raise StoreUnavailable("the file with the key of ResourceSpace's user cannot be read") from error

    def _remote(self, timeout: float | None = None) -> HTTPRemote:
        patience = timeout or self._options.timeout
        if patience not in self._remotes:
            path = self._options.ca_file
            try:
                policy = trusted_only(path.read_bytes()) if path else None
            except (OSError, ValueError) as error:
                self._log.error("{path} is no use: {error}", path=path, error=error)
                raise StoreUnavailable("the store's certificate file cannot be read") from error
            self._remotes[patience] = HTTPRemote(FixedLogin(None), patience, policy)
        return self._remotes[patience]


resourcespace = StorePlugin("resourcespace", ResourceSpaceOptions, ResourceSpaceStore, _KINDS)
