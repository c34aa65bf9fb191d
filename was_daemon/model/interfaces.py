"""The interfaces between the daemon and stores.

Every store provides `IAssetStore`. The further interfaces are optional abilities; callers ask
`ILocalFiles.providedBy(store)`, never for a class. `was_daemon.testing.StoreContract` tests every promise made here.
They are in one long module, since the authors of plugins choose among them.
"""

# A zope interface describes its methods as callers see them: without self, and without a body.
# mypy: disable-error-code="empty-body"
# ruff: noqa: N805

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import attrs
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

from was_daemon.model.keys import AssetKey, Kind

P = ParamSpec("P")
T = TypeVar("T")


@attrs.frozen
class AssetStat:
    """The size, time and identity of one version of an asset.

    `size` is in bytes; `modified` is in Unix seconds, 0 when the store does not know; `etag` is an opaque string,
    different for every version, without quotes.
    """

    size: int
    modified: float
    etag: str


class IAssetReader(Interface):
    """One version of an asset, held open; its bytes are never mixed with those of a later version."""

    stat: AssetStat = Attribute("The `AssetStat` of this version.")

    def read(start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes [start, stop) in non-empty chunks of at most 1 MiB; `stop=None` is the end.

        May be called more than once; a caller that stops early closes the generator. Raises `StoreUnavailable`,
        `StoreFailed` or `StoreTimeout`, also half-way, and when the version and its bytes are gone.
        """

    def close() -> Awaitable[None]:
        """Release all resources, also in the middle of a read; a second call does nothing."""


class IFileReader(IAssetReader):
    """A reader of an open file of this machine."""

    def file() -> FileIO:
        """Return the same open file, whose position readers do not use; the caller closes it.

        Raises `StoreFailed` when the reader is closed.
        """


class IAssetStore(Interface):
    """A store of assets: bytes under keys.

    Every method may raise `StoreUnavailable` (down, refused, read-only), `StoreFailed` (it answered nonsense) and
    `StoreTimeout` (no progress); an operation that raised has changed nothing. Methods may be called concurrently and
    their Deferreds cancelled, which releases their resources. `str(store)` tells an operator where the files are,
    without a secret.
    """

    def stat(key: AssetKey) -> Awaitable[AssetStat]:
        """Fire with the current version of the asset; raises `AssetNotFound`."""

    def open(key: AssetKey) -> Awaitable[IAssetReader]:
        """Open the current version for reading; the caller closes it. Raises `AssetNotFound`."""

    def write(key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> Awaitable[AssetStat]:
        """Store all of `chunks` as the asset, atomically and durably, or change nothing when `chunks` raises.

        `size` is the number of bytes in all, for servers that need it beforehand; the daemon always passes it. An asset
        of that name is replaced: readers see the old version or the new one. An error of `chunks` is raised here; the
        caller closes the iterator. A cancellation may come too late to keep the old version. Raises `NoSpace`.
        """

    def delete(key: AssetKey) -> Awaitable[None]:
        """Remove the asset, durably; raises `AssetNotFound` when there is none."""

    def list(collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """Yield the keys of a collection's assets whose names start with `prefix`, none for a new collection.

        The order is any. Assets written or deleted meanwhile may be listed or not.
        """

    def check() -> Awaitable[None]:
        """Check that the store can be reached, read and written.

        Raises `StoreUnavailable` or `StoreTimeout`, with a message for the operator.
        """

    def close() -> Awaitable[None]:
        """Release connections and threads; the store is not used afterwards."""


class IStagingFile(Interface):
    """A file being written that is no asset yet; it is removed unless a store adopts it."""

    def write(chunks: list[bytes]) -> Awaitable[None]:
        """Append `chunks`; fires when the operating system has them. Raises `NoSpace` or `StoreUnavailable`."""

    def read() -> AsyncGenerator[bytes, None]:
        """Yield all bytes written, from the beginning; raises `UploadWithdrawn` after `discard`."""

    def size() -> Awaitable[int]:
        """Fire with the number of bytes written."""

    def free() -> Awaitable[int]:
        """Fire with the free bytes of the file's file system; with a very large number where that is unknown."""

    def fileno() -> int:
        """Return the descriptor, by which another process may write to the file.

        Raises `UploadWithdrawn` after `publish` and `discard`.
        """

    def publish(directory: int, name: str, replace: bool = True) -> os.stat_result:
        """Give this file its final name in an open directory, durably; blocks.

        `directory` is a descriptor. Raises OSError, and has changed nothing then; FileExistsError when `replace` is
        False and the name is taken. The time of the file is later than that of a file it replaces.
        """

    def discard() -> None:
        """Remove the file, at once or as soon as a write under way ends; do nothing after adoption."""


class IStages(Interface):
    """A store on whose disk uploads are staged, and which adopts them without a copy."""

    def stage(near: AssetKey | None) -> Awaitable[IStagingFile]:
        """Open a staging file on the file system of `near`, or of the store's root when the key is not known yet."""

    def adopt(staged: IStagingFile, key: AssetKey) -> Awaitable[AssetStat]:
        """Store the staging file as the asset, with the promises of `IAssetStore.write`."""


class ILocalFiles(IStages):
    """A store whose assets are files of this machine, so that they are read without a copy.

    Each collection has threads of its own for its disk work, so that a mount that hangs blocks no other collection.
    """

    root: Path = Attribute("The directory that holds all files.")

    def path(key: AssetKey) -> Path:
        """Return the path of the file of `key`, whether or not it exists."""

    def directory(key: AssetKey) -> AbstractContextManager[int]:
        """Open the directory that holds the file of `key`, and yield its descriptor; blocks, so use it `in_thread`.

        Below `originals` and `thumbnails` no links are followed. Raises FileNotFoundError and NotADirectoryError.
        """

    def collections() -> Iterator[str]:
        """Yield the collections that lie right below the root and are no links; blocks, so use it `in_thread`."""

    def files(collection: str, kind: Kind) -> "Iterator[os.DirEntry[str]]":
        """Yield every file of that kind in a collection; an entry is valid until the next is asked for.

        Blocks, so call and use it `in_thread`.
        """

    def clean(collections: Iterable[str]) -> Awaitable[int]:
        """Remove the staging files in `collections` that no process holds any more; fires with their number.

        `collections` is iterated in a thread.
        """

    def in_thread(near: AssetKey | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call a blocking `function` in a thread of the collection of `near`; None for all collections together.

        Fires with its result. OSErrors are raised as the store's errors.
        """


class ICreates(Interface):
    """A store that creates an asset atomically, also when several daemons create the same name at the same time.

    Raises `CannotCreate`, and has changed nothing then, where this server cannot do it; the daemon then looks whether
    there is an asset before it writes.
    """

    def create(staged: IStagingFile, key: AssetKey) -> Awaitable[AssetStat]:
        """Store the staging file as a new asset, with the promises of `IAssetStore.write`; raises `AssetExists`."""


class IMoves(Interface):
    """A store that moves and copies assets within a collection by itself: their bytes do not pass through the daemon.

    Used for the trash, whose assets are of the kind `Kind.TRASH`. Raises `CannotMove`, and has changed nothing then,
    where this store or this server cannot do it; the daemon then reads and writes the bytes itself.
    """

    def move(source: AssetKey, target: AssetKey, replace: bool = False) -> Awaitable[None]:
        """Make the asset `source` the asset `target`, durably, with its time of modification if that is possible.

        A process that is killed half-way leaves the asset under one of the keys, or under both. Raises `AssetNotFound`
        when there is no `source`, and `AssetExists` when there is a `target` and `replace` is False. With `replace`,
        readers see the old `target` or the new one.
        """

    def copy(source: AssetKey, target: AssetKey) -> Awaitable[None]:
        """Make the current version of `source` also the new asset `target`, durably.

        What is written to `source` later does not change `target`. Raises `AssetNotFound` when there is no `source`.
        """


class IRooted(Interface):
    """A store in a root directory that may be missing, or be replaced by accident, as by an unmounted disk.

    While the directory is not the one that the store began with, all operations raise `StoreUnavailable`.
    `IAssetStore.check` and the first upload create a missing directory, but only if it never existed before.
    """

    def exists() -> Awaitable[bool]:
        """Fire with whether the directory exists; creates nothing."""

    def accept(collections: Iterable[str]) -> Awaitable[bool]:
        """Use the directory that exists now, if there is one; fires with whether it is another than before.

        `collections`, iterated in a thread, are the collections in it that may lie on other disks.
        """


class IPresence(Interface):
    """A store that knows the other daemons that use it."""

    def announce() -> Awaitable[Sequence[str]]:
        """Announce to others, until `IAssetStore.close`, that this process uses the store; fire with their names.

        Each is named so that an operator finds it: "process 12 on assets.example.org".
        """


class IUnfinished(Interface):
    """A remote store that marks unfinished uploads with the process that began them, as they cannot be locked."""

    def register(directory: Path) -> Awaitable[None]:
        """Hold a locked file below `directory`, by which later processes of this machine see that this one has ended.

        To be called once, before the first upload. Without it, uploads of a killed process are removed after a day.
        """

    def clean() -> Awaitable[int]:
        """Remove unfinished uploads of ended processes that registered in this directory; fires with their number."""


class IReadOnly(Interface):
    """A store that is only read: it refuses every change, and its check changes nothing."""


class IQuirks(Interface):
    """A store whose server may be unable to do something that the promises of `IAssetStore` rest on."""

    def quirks() -> Awaitable[Sequence[str]]:
        """Find out, and fire with a sentence for each that says what the server cannot do, and what that costs.

        Only what the store cannot make up for counts.
        """


class ISizes(Interface):
    """A store that lists the sizes of a collection's originals without a request for each."""

    def sizes(collection: str) -> AsyncGenerator[int, None]:
        """Yield the sizes of a collection's originals in bytes, in any order, some added up; none for a new collection.

        Assets written or deleted meanwhile may be counted or not.
        """


class IUnlisted(Interface):
    """A store that does not know which originals it has.

    `IAssetStore.list` raises `CannotList` for originals, and lists what it has of other kinds. Who needs a list of the
    originals takes their names from elsewhere: from the catalogue, from Specify, or from a file.
    """


class IRedirects(Interface):
    """A store whose assets have URLs that clients are redirected to with `redirect = "presigned"`."""

    def url(key: AssetKey, media_type: str, download_name: str | None) -> Awaitable[str]:
        """Fire with an absolute URL from which anybody gets the asset by GET, at least for the next minute.

        `key` may be that of a thumbnail with `redirect_thumbnails = true`. Where the store can set them, its answer has
        `media_type` as its type and `download_name` as the name of the file. Raises `AssetNotFound`.
        """


class IThumbnails(Interface):
    """A store that makes thumbnails itself, so that the daemon neither makes nor keeps any."""

    def thumbnail(key: AssetKey, scale: int) -> Awaitable[tuple[IAssetReader, str]]:
        """Open a picture of the original `key` that fits a box of `scale` x `scale` pixels.

        Fires with the reader and the media type. Raises `AssetNotFound` (no such original), `NoThumbnail` and
        `BrokenImage`.
        """


class IPreviews(IThumbnails):
    """A store that has pictures of some originals in some sizes, which are used where they are good enough.

    Where thumbnails are kept in another store, the daemon makes one after `NoThumbnail`.
    """


class IImageService(Interface):
    """A store whose server speaks the Image API of IIIF itself, so that viewers are sent there."""

    def image_service(key: AssetKey, page: int, version: int) -> Awaitable[str | None]:
        """Fire with the absolute URI of a page of the original `key` in that server, without a slash at its end.

        The first page is 1; `version` of the Image API is 2 or 3. Parameters and `info.json` follow the URI. Fires with
        None when the server does not speak that version; then the daemon shows the picture. Raises `AssetNotFound`.
        """


class IImageProxy(Interface):
    """A store whose server speaks the Image API of IIIF, and is asked by the daemon, as viewers cannot or may not.

    The first page is 1; `version` of the Image API is 2 or 3.
    """

    def image_information(key: AssetKey, page: int, version: int) -> Awaitable[Mapping[str, Any]]:
        """Fire with the `info.json` of a page of the original `key`, whose URI the daemon replaces by its own.

        Raises `AssetNotFound`, and `NotImplementedHere` for a version that the server does not speak.
        """

    def open_image(key: AssetKey, page: int, version: int, parameters: str) -> Awaitable[tuple[IAssetReader, str]]:
        """Open a part of a page; fire with it and its media type. The daemon closes it.

        `parameters` are region, size, rotation, quality and format as in an address, percent-encoded. Raises
        `AssetNotFound`, `BadRequest` and `NotImplementedHere`.
        """


class IStorePlugin(IPlugin):
    """A plugin of any kind; a module in a `storage_plugins` directory holds one."""

    name: str = Attribute("The value of `plugin` in `[stores.NAME]`.")
    options: type = Attribute("An attrs class; its fields are the keys the table may have, besides `plugin`.")


class IAssetStorePlugin(IStorePlugin):
    """A factory of stores from tables of the configuration."""

    def create(options: Any) -> IAssetStore:
        """Return the store for `options`, an instance of the attrs class; touches no file or network yet."""
