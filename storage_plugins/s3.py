"""The S3 store: assets as objects in a bucket of Amazon S3, Ceph, MinIO or another server of that protocol.

An object is replaced at once or not at all. Large objects are sent in parts, which are invisible before the last step.
The names of objects are the paths of files, so that a bucket into which a directory was copied can be adopted, and
copied back.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from posixpath import dirname

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.model.errors import AssetError, AssetNotFound, BadName, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    ICreates,
    IMoves,
    IRedirects,
    ISizes,
    IStagingFile,
    IUnfinished,
)
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.media import content_disposition, media_type
from was_daemon.stores.http.reader import asset_stat
from was_daemon.stores.http.transport import trusted_only
from was_daemon.stores.plugin import StorePlugin
from was_daemon.stores.s3.bucket import Bucket, ObjectUrls
from was_daemon.stores.s3.copying import ServerCopies
from was_daemon.stores.s3.credentials import CredentialCache
from was_daemon.stores.s3.errors import needing
from was_daemon.stores.s3.integrity import Payload
from was_daemon.stores.s3.listing import objects
from was_daemon.stores.s3.multipart import Multipart
from was_daemon.stores.s3.options import S3Options
from was_daemon.stores.s3.reader import S3Reader
from was_daemon.stores.s3.writing import Writer

_BUCKET_SECONDS = 60
"""Time after which a bucket that existed is looked for again when an object is not found."""

_ADDRESS_SECONDS = 300
"""Time for which a client may use an address that it was redirected to."""


@implementer(IAssetStore, ICreates, IMoves, IRedirects, ISizes, IUnfinished)
class S3Store:
    """Assets in one bucket, below the prefix of the options."""

    _log = Logger()

    def __init__(self, options: S3Options) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._options = options
        self._layout = options.layout
        self._connected: Bucket | None = None
        self._multipart = Multipart(str(self), self._bucket, options.folder, options.keeps_checksums)
        # Small servers, such as s3rver, write over the old version while it is read.
        self._locks = KeyLocks[str]()
        self._copies = ServerCopies(self._bucket, options.bucket, self._locks, self._look_now, options.keeps_checksums)
        part_size, checksums = int(options.part_size), options.keeps_checksums
        self._writer = Writer(self._bucket, self._multipart, self._locks, self._look, part_size, checksums)
        self._seen = -float(_BUCKET_SECONDS)
        """Time at which the bucket was last known to exist."""

    def __str__(self) -> str:
        options = self._options
        below = f" below {options.folder}" if options.folder else ""
        return f"objects{below} in the bucket {options.bucket} at {options.address}"

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        return await self._look(self._name(key))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        name = self._name(key)
        stat = await self._look(name)
        checksums, tags = self._options.keeps_checksums, self._multipart.tags
        look = partial(self._look, name)
        return S3Reader(self._bucket(), name, stat, checksums, tags, look, self._locks.shared)

    async def _look(self, name: str) -> AssetStat:
        async with self._locks.shared(name):
            return await self._look_now(name)

    async def _look_now(self, name: str) -> AssetStat:
        answer = await self._bucket().call("HEAD", name, accept=(200, 404))
        if answer.code == 404:
            await self._check_bucket()
            raise AssetNotFound("no such asset")
        self._seen = self._clock.seconds()
        length = answer.header("Content-Length") or ""
        # Some servers say 0 of every object, or nothing, where there is no body.
        size = int(length) if length.isdecimal() else 0
        return asset_stat(answer, size or await self._size(name))

    async def _size(self, name: str) -> int:
        """Fire with the size of an object, which a HEAD does not tell."""
        answer = await self._bucket().request("GET", name, accept=(200, 404))
        answer.close()
        if answer.code == 404:
            raise AssetNotFound("no such asset")
        if answer.length is not None:
            return answer.length
        async with aclosing(objects(self._bucket(), name, flat=True)) as listed:
            async for each in listed:
                if each.name == name:
                    return each.size
        raise StoreFailed("the store does not say how long the asset is")

    async def _check_bucket(self) -> None:
        """Raise `StoreUnavailable` when there is no bucket: the answer to a HEAD does not tell what was not found."""
        if self._clock.seconds() < self._seen + _BUCKET_SECONDS:
            return
        # Credentials that do not allow to list a bucket may allow to use its objects.
        answer = await self._bucket().call("HEAD", "", accept=(200, 403, 404))
        if answer.code == 404:
            raise StoreUnavailable("the bucket does not exist")
        self._seen = self._clock.seconds()

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        flat = self._layout is Layout.FLAT
        directory, beginning = f"{collection}/{kind.value}".lstrip("/"), prefix if flat else ""
        if not flat and len(prefix) >= 4:
            try:
                directory, beginning = dirname(self._layout.path(AssetKey(collection, kind, prefix))), prefix
            except BadName:
                return
        async with aclosing(self._assets(f"{directory}/{beginning}")) as assets:
            async for key, _size in assets:
                if (key.collection, key.kind) == (collection, kind) and key.name.startswith(prefix):
                    yield key

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        kind = Kind.ORIGINAL
        async with aclosing(self._assets(f"{collection}/{kind.value}/".lstrip("/"))) as assets:
            async for key, size in assets:
                if (key.collection, key.kind) == (collection, kind):
                    yield size

    async def _assets(self, path: str) -> AsyncGenerator[tuple[AssetKey, int], None]:
        """Yield the assets whose paths begin with `path`, each with its size in bytes."""
        folder, flat = self._options.folder, self._layout is Layout.FLAT
        async with aclosing(objects(self._bucket(), folder + path, flat)) as listed:
            async for each in listed:
                with suppress(BadName, AssetNotFound):
                    yield self._layout.parse(each.name.removeprefix(folder)), each.size

    async def url(self, key: AssetKey, media_type: str, download_name: str | None) -> str:
        """See `IRedirects`."""
        name = self._name(key)
        await self._look(name)
        query = {"response-content-type": media_type}
        if download_name:
            query["response-content-disposition"] = content_disposition(download_name)
        options = self._options
        public = ObjectUrls(options.public_endpoint or options.address, options.bucket, options.virtual)
        return await self._bucket().address(public, name, query, _ADDRESS_SECONDS)

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        return await self._writer.write(self._name(key), media_type(key.name), chunks, size)

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ICreates`."""
        return await self._writer.create(self._name(key), media_type(key.name), staged)

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        name = self._name(key)
        async with self._locks.exclusive(name):
            # S3 reports success also when there is nothing to delete.
            await self._look_now(name)
            await self._bucket().call("DELETE", name, accept=(200, 204, 404))

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        await self._copies.move(self._name(source), self._name(target), replace)

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`."""
        await self._copies.copy(self._name(source), self._name(target))

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`."""
        bucket, folder, records = self._bucket(), self._options.folder, self._multipart.records
        path, payload = await records.new_object(), Payload.now(b"check")
        name = records.name(path)
        try:
            with needing("s3:ListBucket"):
                async with aclosing(objects(bucket, f"{folder}{Kind.ORIGINAL.value}/", flat=True)) as names:
                    await anext(names, None)
            with needing("s3:PutObject"):
                await bucket.call("PUT", name, payload=payload)
            try:
                with needing("s3:GetObject"):
                    kept = await (await bucket.request("GET", name)).content()
            finally:
                with needing("s3:DeleteObject"):
                    await records.delete(path)
            if kept != payload.content:
                raise StoreFailed("what was written to the store is not there")
            records.sweep_if_due()
        except (StoreUnavailable, StoreTimeout):
            raise
        except AssetError as error:
            raise StoreUnavailable(str(error)) from error

    async def register(self, directory: Path) -> None:
        """See `IUnfinished`."""
        await self._multipart.records.uploads.register(directory)

    async def clean(self) -> int:
        """See `IUnfinished`."""
        return await self._multipart.records.uploads.clean()

    async def close(self) -> None:
        """See `IAssetStore`."""
        await self._multipart.records.uploads.close()
        if self._connected:
            await self._connected.close()

    def _bucket(self) -> Bucket:
        if self._connected is None:
            options = self._options
            try:
                policy = trusted_only(options.ca_file.read_bytes()) if options.ca_file else None
            except (OSError, ValueError) as error:
                self._log.error("{path} is no use: {error}", path=options.ca_file, error=error)
                raise StoreUnavailable("the store's certificate file cannot be read") from error
            addresses = ObjectUrls(options.address, options.bucket, options.virtual)
            keys = CredentialCache(self._clock, options.search(), options.timeout)
            self._connected = Bucket(addresses, options.region_name(), keys, options.timeout, policy)
        return self._connected

    def _name(self, key: AssetKey) -> str:
        return self._options.folder + self._layout.path(key)


s3 = StorePlugin("s3", S3Options, S3Store)
