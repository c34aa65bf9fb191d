"""The seam between the daemon and whatever holds the files.

A store provides `IAssetStore`. What else it can do it says by providing one of the further interfaces; callers ask
`ILocalFiles.providedBy(store)`, never for a class. `was_daemon.testing.StoreContract` tests every promise made here.
"""

# A zope interface describes its methods as callers see them: without self, and without a body.
# mypy: disable-error-code="empty-body"
# ruff: noqa: N805

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
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
    """One version of an asset.

    `size` is in bytes; `modified` is in Unix seconds, 0 when the store does not know; `etag` is an opaque string,
    different for every version, without quotes.
    """

    size: int
    modified: float
    etag: str


class IAssetReader(Interface):
    """One version of an asset, held open: what is read is never mixed with a later version."""

    stat: AssetStat = Attribute("The `AssetStat` of this version.")

    def read(start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) in non-empty chunks of at most 1 MiB; `stop=None` is the end.

        May be called more than once; who stops early closes the generator. Raises `StoreUnavailable`, `StoreFailed` or
        `StoreTimeout`, also half-way, and when the version is gone and its bytes with it.
        """

    def close() -> Awaitable[None]:
        """Release everything, also in the middle of a read; a second call does nothing."""


class IAssetStore(Interface):
    """Bytes under keys.

    Every method may raise `StoreUnavailable` (down, refused, read-only), `StoreFailed` (it answered nonsense) and
    `StoreTimeout` (no progress); an operation that raised has changed nothing. Methods may be called concurrently and
    their Deferreds cancelled, which frees what they hold. `str(store)` tells an operator where the files are, without
    a secret.
    """

    def stat(key: AssetKey) -> Awaitable[AssetStat]:
        """What is stored under `key` now; `AssetNotFound`."""

    def open(key: AssetKey) -> Awaitable[IAssetReader]:
        """Open the current version for reading; `AssetNotFound`. The caller closes it."""

    def write(key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> Awaitable[AssetStat]:
        """All of `chunks` become the asset, at once and durably, or - when `chunks` raises - nothing changes.

        `size` is how many bytes they have together, for servers that want to know beforehand; the daemon always says.
        An asset of that name is replaced: readers see the old version or the new one. What `chunks` raises is raised
        here; whoever made it closes it. A cancellation may come too late to keep the old version. `NoSpace`.
        """

    def delete(key: AssetKey) -> Awaitable[None]:
        """Remove the asset, durably; `AssetNotFound` when there is none."""

    def list(collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """The keys of a collection's assets whose names start with `prefix`, in any order, none for a new collection.

        Assets written or deleted meanwhile may be listed or not.
        """

    def check() -> Awaitable[None]:
        """Reachable, readable, writable - or `StoreUnavailable` or `StoreTimeout` with what an operator must know."""

    def close() -> Awaitable[None]:
        """Release connections and threads; the store is not used afterwards."""


class IStagingFile(Interface):
    """A file being written that is no asset yet; it vanishes unless it is adopted."""

    def write(chunks: list[bytes]) -> Awaitable[None]:
        """Append `chunks`; fires when the operating system has them. `NoSpace`, `StoreUnavailable`."""

    def read() -> AsyncGenerator[bytes, None]:
        """Everything written, from the beginning. `UploadWithdrawn` after `discard`."""

    def size() -> Awaitable[int]:
        """How many bytes that is."""

    def free() -> Awaitable[int]:
        """The bytes that are free on the file's file system; one that does not tell has no end."""

    def fileno() -> int:
        """Its descriptor, by which another process may fill it. `UploadWithdrawn` after `publish` and `discard`."""

    def publish(directory: int, name: str, replace: bool = True) -> os.stat_result:
        """Make this file, durably, the one called `name` in an open directory; blocks.

        `directory` is its descriptor. Raises OSError, and has changed nothing then. The file's time is later than that
        of the file it replaces. Without `replace`, FileExistsError when there is one.
        """

    def discard() -> None:
        """Remove the file, at once or as soon as a write under way ends; after adoption this does nothing."""


class ILocalFiles(Interface):
    """A store whose assets are files of this machine: nothing needs to be copied.

    All disk work happens in threads that only one collection of the store uses, so that a mount that hangs holds up
    nobody else.
    """

    root: Path = Attribute("The directory that all of them are below.")

    def path(key: AssetKey) -> Path:
        """The file of `key`, whether or not it exists."""

    def directory(key: AssetKey) -> AbstractContextManager[int]:
        """Open the directory that holds the file of `key`; yields its descriptor. Blocks, so it is used `in_thread`.

        Below `originals` and `thumbnails` no links are followed. Raises FileNotFoundError and NotADirectoryError.
        """

    def stage(near: AssetKey | None) -> Awaitable[IStagingFile]:
        """Open a staging file on the file system of `near`, or of the store's root when the key is not known yet."""

    def adopt(staged: IStagingFile, key: AssetKey) -> Awaitable[AssetStat]:
        """The staging file becomes the asset, as `IAssetStore.write` promises."""

    def collections() -> Iterator[str]:
        """The collections that lie right below the root, and are no links; blocks, so it is used `in_thread`."""

    def files(collection: str, kind: Kind) -> "Iterator[os.DirEntry[str]]":
        """Every file of that kind in a collection, each to be looked at before the next.

        Blocks, so it is to be called and used `in_thread`.
        """

    def clean(collections: Iterable[str]) -> Awaitable[int]:
        """Remove the staging files in these collections that no process holds any more; fires with their number.

        `collections` is gone through in a thread.
        """

    def in_thread(near: AssetKey | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call a blocking `function` in a thread of the collection of `near`, or of none when it is about all of them.

        OSErrors are raised as the store's errors.
        """


class ICreates(Interface):
    """A store that tells a new name from one that exists, also when several daemons want it at the same moment."""

    def create(staged: IStagingFile, key: AssetKey) -> Awaitable[AssetStat]:
        """The staging file becomes the asset, as `IAssetStore.write` promises; `AssetExists` when there is one."""


class IRooted(Interface):
    """A store in a directory that can be missing, or become another one without anybody having wished so.

    While it is not the one that the store began with, all operations raise `StoreUnavailable`. `IAssetStore.check` and
    the first upload make it when it is missing, but only if it was never there before.
    """

    def exists() -> Awaitable[bool]:
        """Whether the directory is there; makes nothing."""

    def accept(collections: Iterable[str]) -> Awaitable[bool]:
        """Go on with the directory that is there now, if there is one; whether it is another than before.

        `collections`, gone through in a thread, are those in it that may lie on other disks.
        """


class IPresence(Interface):
    """A store that knows the other daemons that use it."""

    def announce() -> Awaitable[Sequence[str]]:
        """Announce to others, until `IAssetStore.close`, that this process uses the store; fire with their names.

        Each is named so that an operator finds it: "process 12 on assets.example.org".
        """


class IUnfinished(Interface):
    """A store elsewhere whose unfinished uploads tell which process began them, as nobody can lock them there."""

    def settle(directory: Path) -> Awaitable[None]:
        """Have later processes of this machine know, by a locked file below `directory`, when this one has ended.

        To be called once, before the first upload. Without it what a killed process leaves goes when it is a day old.
        """

    def clean() -> Awaitable[int]:
        """Remove what processes that settled in the same directory and have ended left; fires with the number."""


class ISizes(Interface):
    """A store that tells how much a collection takes up without being asked for each asset."""

    def sizes(collection: str) -> AsyncGenerator[int, None]:
        """The sizes of a collection's originals in bytes, in any order, some added up; none for a new collection.

        Assets written or deleted meanwhile may be counted or not.
        """


class IRedirects(Interface):
    """A store whose assets have addresses that clients may be sent to, where `redirect = "presigned"` asks for it."""

    def url(key: AssetKey, media_type: str, download_name: str | None) -> Awaitable[str]:
        """An absolute URL from which anybody who is told it gets the asset by GET, at least for the next minute.

        It may be a thumbnail where `redirect_thumbnails = true` asks for that.

        Where the store can decide, its answer says `media_type`, and names the file `download_name`. `AssetNotFound`.
        """


class IThumbnails(Interface):
    """A store that makes thumbnails itself. The daemon then neither makes nor keeps any."""

    def thumbnail(key: AssetKey, scale: int) -> Awaitable[tuple[IAssetReader, str]]:
        """Open a picture of the original `key` that fits a box of `scale` x `scale` pixels; also its media type.

        `AssetNotFound` without such an original, `NoThumbnail` and `BrokenImage`.
        """


class IAssetStorePlugin(IPlugin):
    """What a module in a `storage_plugins` directory holds: it makes stores from the config's tables."""

    name: str = Attribute("What `plugin = ...` in `[stores.NAME]` says.")
    options: type = Attribute("An attrs class; its fields are the keys the table may have, besides `plugin`.")

    def create(options: Any) -> IAssetStore:
        """The store that `options`, an instance of the attrs class, describes; touches no file or network yet."""
