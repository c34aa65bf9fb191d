"""The filesystem store: assets as files, in the layout of the official asset server.

An existing directory is adopted as it is, files copied into it by hand are assets at once, and no file is left in it
that another server would mind. The store looks only into the directories of its collections, and below `originals` and
`thumbnails` it follows no link.
"""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import ParamSpec, TypeVar

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import AssetError, AssetNotFound, BadName, StoreUnavailable
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    ICreates,
    ILocalFiles,
    IMoves,
    IPresence,
    IRooted,
    ISizes,
    IStagingFile,
)
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.model.places import Place
from was_daemon.stores.local.cached import CachedFiles, read_cached
from was_daemon.stores.local.collection_threads import CollectionThreads
from was_daemon.stores.local.file_reader import FileReader, file_reader, file_stat, release
from was_daemon.stores.local.mounts import mounts, place_of
from was_daemon.stores.local.presence import DIRECTORY as PRESENCE_DIRECTORY
from was_daemon.stores.local.presence import PresenceFile
from was_daemon.stores.local.root_identity import RootIdentity
from was_daemon.stores.local.staging import DIRECTORY as STAGING
from was_daemon.stores.local.staging import StagingFile, remove_stale, stage
from was_daemon.stores.local.tree import FileTree, OtherDeviceError, is_in_the_way
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.stores.plugin import StorePlugin

P = ParamSpec("P")
T = TypeVar("T")

_LISTED_AT_ONCE = 1000
_log = Logger()


@attrs.frozen
class FilesystemOptions:
    """`[stores.NAME]` with `plugin = "filesystem"`."""

    path: Path
    layout: Layout = Layout.FLAT

    def place(self) -> Place:
        """Return where the files are."""
        return place_of(self.path, mounts())


@implementer(IAssetStore, ILocalFiles, ICreates, IMoves, IPresence, IRooted, ISizes)
class FilesystemStore:
    """Assets as files below `root`."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self._identity = RootIdentity(root, self._has_presence_file)
        self._tree = FileTree(root, layout, self._identity)
        self._threads = CollectionThreads(f"disk {root}")
        self._cached = CachedFiles(self._identity.verify)
        self._presence: PresenceFile | None = None
        self._closed = False

    def __str__(self) -> str:
        return f"files in {self.root}"

    @property
    def root(self) -> Path:
        """See `ILocalFiles`."""
        return self._tree.root

    def path(self, key: AssetKey) -> Path:
        """See `ILocalFiles`."""
        return self._tree.path(key)

    def directory(self, key: AssetKey) -> AbstractContextManager[int]:
        """See `ILocalFiles`."""
        return self._tree.directory(key)

    def collections(self) -> Iterator[str]:
        """See `ILocalFiles`."""
        return self._tree.collections()

    def files(self, collection: str, kind: Kind) -> Iterator[os.DirEntry[str]]:
        """See `ILocalFiles`."""
        return self._tree.entries(collection, kind)

    def in_thread(
        self, near: AssetKey | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """See `ILocalFiles`."""
        return self._threads.of_key(near).run(function, *args, **kwargs)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        threads = partial(self._threads.of_key, key)
        cached = self._cached.status(threads, *self._tree.split_path(key))
        return file_stat(cached if cached else await threads().run(self._tree.status, key))

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        threads = partial(self._threads.of_key, key)
        fd = self._cached.open(threads, *self._tree.split_path(key))
        if fd is not None:
            return file_reader(threads, fd, read_cached)
        return await threads().acquire(release, self._open, threads, key)

    def _open(self, threads: Callable[[], DiskThreads], key: AssetKey) -> FileReader | MemoryReader:
        return file_reader(threads, self._tree.open(key), os.pread)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        threads = self._threads.of_collection(collection)
        entries = self._tree.entries(collection, kind, prefix)
        while batch := await threads.run(lambda: [entry.name for entry in islice(entries, _LISTED_AT_ONCE)]):
            for name in batch:
                with suppress(BadName):
                    yield AssetKey(collection, kind, name)

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        threads = self._threads.of_collection(collection)
        entries = self._tree.entries(collection, Kind.ORIGINAL)
        while sizes := await threads.run(lambda: [_size(entry) for entry in islice(entries, _LISTED_AT_ONCE)]):
            yield sum(sizes)

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> AssetStat:
        """See `IAssetStore`."""
        async with self._filled(key, chunks) as staged:
            return await self.adopt(staged, key)

    @asynccontextmanager
    async def _filled(self, key: AssetKey, chunks: AsyncIterator[bytes]) -> AsyncIterator[IStagingFile]:
        staged = await self.stage(key)
        try:
            async for chunk in chunks:
                await staged.write([chunk])
            yield staged
        finally:
            staged.discard()

    async def stage(self, near: AssetKey | None) -> IStagingFile:
        """See `IStages`."""
        threads = self._threads.of_key(near)
        return await threads.acquire(StagingFile.discard, self._stage, threads, near)

    def _stage(self, threads: DiskThreads, near: AssetKey | None) -> StagingFile:
        base = self._tree.prepare_upload(near)
        try:
            return stage(threads, base)
        except OSError as error:
            if is_in_the_way(error):
                _log.error("{path} is no directory, but a link or a file: uploads need it", path=base / STAGING)
                raise StoreUnavailable("a link or a file in the store is in the way of uploads") from error
            raise

    async def adopt(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `IStages`."""
        return await self._adopt(staged, key, replace=True)

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ICreates`."""
        return await self._adopt(staged, key, replace=False)

    async def _adopt(self, staged: IStagingFile, key: AssetKey, replace: bool) -> AssetStat:
        try:
            return file_stat(await self._threads.of_key(key).run(self._publish, staged, key, replace))
        except OtherDeviceError:
            async with self._filled(key, staged.read()) as near:
                return await self._adopt(near, key, replace)

    def _publish(self, staged: IStagingFile, key: AssetKey, replace: bool) -> os.stat_result:
        return self._tree.publish(staged, key, replace)

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        await self._threads.of_key(key).run(self._tree.delete, key)

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        await self._threads.of_key(source).run(self._tree.move, source, target, replace)

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`. Both are one file, which is never written to again."""
        await self._threads.of_key(source).run(self._tree.link, source, target)

    async def clean(self, collections: Iterable[str]) -> int:
        """See `ILocalFiles`."""
        return await self._threads.of_key(None).run(self._clean, collections)

    def _clean(self, collections: Iterable[str]) -> int:
        return sum(map(remove_stale, [self.root, *self._tree.bases(collections)]))

    # -- the root ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See `IAssetStore`."""
        try:
            await self._threads.of_key(None).run(self._check)
        except AssetNotFound:
            raise StoreUnavailable("the store's directory does not exist and cannot be made") from None

    def _check(self) -> None:
        self._identity.prepare()
        self._identity.verify_all()
        # A file without a name, which leaves no trace where an operator may look.
        TemporaryFile(dir=self.root).close()
        staging = self.root / STAGING
        if os.path.lexists(staging) and (staging.is_symlink() or not staging.is_dir()):
            raise StoreUnavailable(f"{STAGING} in the store's directory is no directory: uploads need it")

    def _has_presence_file(self, is_same_inode: bool) -> bool:
        """Return whether a directory with other numbers than the root's is the root; see `RootIdentity`."""
        if self._presence:
            return self._presence.exists()
        # Of several processes of one daemon only the first one leaves a file.
        return is_same_inode and (self.root / PRESENCE_DIRECTORY).is_dir()

    async def exists(self) -> bool:
        """See `IRooted`."""
        return await self._threads.of_key(None).run(self._identity.exists)

    async def accept(self, collections: Iterable[str]) -> bool:
        """See `IRooted`."""
        changed = await self._threads.of_key(None).run(lambda: self._identity.accept(self._tree.bases(collections)))
        if changed:
            self._end_presence()
        return changed

    async def announce(self) -> Sequence[str]:
        """See `IPresence`."""
        threads = self._threads.of_key(None)
        if self._presence is None:
            created = await threads.acquire(PresenceFile.remove, PresenceFile, self.root)
            if self._closed or self._presence:
                # The store was closed meanwhile, or this was called once more.
                self._remove(created)
            else:
                self._presence = created
        return await threads.run(self._presence.others) if self._presence else []

    def _end_presence(self) -> None:
        if self._presence:
            self._remove(self._presence)
            self._presence = None

    def _remove(self, presence: PresenceFile) -> None:
        # `close` waits for it together with the other calls: it may hang as they may.
        removing = self._threads.of_key(None).run(presence.remove)
        removing.addErrback(lambda failure: None if failure.check(AssetError) else failure)

    async def close(self) -> None:
        """See `IAssetStore`."""
        self._closed = True
        self._end_presence()
        self._cached.close()
        await self._threads.close()


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


filesystem = StorePlugin("filesystem", FilesystemOptions, lambda options: FilesystemStore(options.path, options.layout))
