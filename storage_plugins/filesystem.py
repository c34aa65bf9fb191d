"""The filesystem store: assets as files, in the layout of the official asset server.

An existing directory is adopted as it is, files copied into it by hand are assets at once, and nothing is left in it
that another server would mind. What else lies in it is no concern of the store's: it looks into the directories of its
collections only, and below `originals` and `thumbnails` it follows no link.
"""

import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from zope.interface import implementer

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.model.errors import AssetError, AssetExists, AssetNotFound, BadName, StoreUnavailable
from was_daemon.model.interfaces import (
    AssetStat,
    IAssetReader,
    IAssetStore,
    ICreates,
    ILocalFiles,
    INeighbours,
    IRooted,
    ISizes,
    IStagingFile,
)
from was_daemon.model.keys import AssetKey, Kind, Layout, check_directory
from was_daemon.stores.held import HeldReader
from was_daemon.stores.local.cached import CachedFiles, read_cached
from was_daemon.stores.local.directories import Entry, entries_of, make_directory, opened_below
from was_daemon.stores.local.file_reader import FileReader, file_reader, file_stat, release
from was_daemon.stores.local.ground import Ground
from was_daemon.stores.local.neighbours import DIRECTORY as NEIGHBOURS
from was_daemon.stores.local.neighbours import Presence
from was_daemon.stores.local.staging import DIRECTORY as STAGING
from was_daemon.stores.local.staging import StagingFile, remove_stale, stage
from was_daemon.stores.plugin import StorePlugin

P = ParamSpec("P")
T = TypeVar("T")

_LISTED_AT_ONCE = 1000
_MOST_COLLECTIONS = 64
"""How many collections have threads of their own at a time; more share those of the store."""

_SHARDED_BY = 4
"""How many characters of a name say in which directory it is."""

_SHARD_SIZE = 2
_log = Logger()

_IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.ELOOP})


@implementer(IAssetStore, ILocalFiles, ICreates, INeighbours, IRooted, ISizes)
class FilesystemStore:
    """Assets as files below `root`."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self._root = root
        self._layout = layout
        # A collection may be a link to another disk. Its threads are there as long as they have something to do.
        self._threads: WeakValueDictionary[str, DiskThreads] = WeakValueDictionary()
        self._presence: Presence | None = None
        self._closed = False
        self._ground = Ground(root, self._has_mark)
        self._cached = CachedFiles(self._ground.verify)

    def __str__(self) -> str:
        return f"files in {self._root}"

    @property
    def root(self) -> Path:
        """See `ILocalFiles`."""
        return self._root

    def path(self, key: AssetKey) -> Path:
        """See `ILocalFiles`."""
        return self._root / self._layout.path(key)

    def _threads_of(self, key: AssetKey | None) -> DiskThreads:
        """The threads of the collection of `key`; those of the store itself without."""
        return self._threads_in(key.collection if key else "")

    def _threads_in(self, collection: str) -> DiskThreads:
        threads = self._threads.get(collection)
        if threads is None:
            # With collections = "auto" clients may think of any number of names.
            name = collection if len(self._threads) < _MOST_COLLECTIONS else ""
            threads = self._threads.get(name) or DiskThreads(f"disk {self._root / name}")
            self._threads[name] = threads
        return threads

    def in_thread(
        self, near: AssetKey | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """See `ILocalFiles`."""
        return self._threads_of(near).run(function, *args, **kwargs)

    async def stat(self, key: AssetKey) -> AssetStat:
        """See `IAssetStore`."""
        threads = partial(self._threads_of, key)
        cached = self._cached.status(threads, *self._place(key))
        return file_stat(cached if cached else await threads().run(self._status, key))

    def _status(self, key: AssetKey) -> os.stat_result:
        with self.directory(key) as directory:
            return Entry(directory, key.name).lstat()

    async def open(self, key: AssetKey) -> IAssetReader:
        """See `IAssetStore`."""
        threads = partial(self._threads_of, key)
        fd = self._cached.open(threads, *self._place(key))
        if fd is not None:
            return file_reader(threads, fd, read_cached)
        return await threads().acquire(release, self._open, threads, key)

    def _open(self, threads: Callable[[], DiskThreads], key: AssetKey) -> FileReader | HeldReader:
        with self.directory(key) as directory:
            return file_reader(threads, Entry(directory, key.name).open(os.O_RDONLY), os.pread)

    @contextmanager
    def directory(self, key: AssetKey) -> Iterator[int]:
        """See `ILocalFiles`."""
        base = self._base(key)
        self._ground.verify(base)
        with opened_below(base, self._layout.directories(key.name)) as directory:
            yield directory

    def _base(self, key: AssetKey) -> Path:
        """The directory of all assets like `key`, which may be a link."""
        return self._root / key.collection / key.kind.value

    def _place(self, key: AssetKey) -> tuple[str, str]:
        """The same as text, and the path of `key` from there."""
        beginning = f"{key.collection}/{key.kind.value}" if key.collection else key.kind.value
        return f"{self._root}/{beginning}", self._layout.path(key)[len(beginning) + 1 :]

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

    async def delete(self, key: AssetKey) -> None:
        """See `IAssetStore`."""
        await self._threads_of(key).run(self._delete, key)

    def _delete(self, key: AssetKey) -> None:
        base = self._base(key)
        self._ground.verify(base)
        with opened_below(base, self._layout.directories(key.name)) as directory:
            entry = Entry(directory, key.name)
            # A link, or a pipe, is somebody's, but no asset.
            file_stat(entry.lstat())
            entry.unlink()
            os.fsync(directory)

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        """See `IAssetStore`."""
        threads = self._threads_in(collection)
        entries = self._entries(collection, kind, prefix)
        while batch := await threads.run(lambda: [entry.name for entry in islice(entries, _LISTED_AT_ONCE)]):
            for name in batch:
                with suppress(BadName):
                    yield AssetKey(collection, kind, name)

    def _entries(self, collection: str, kind: Kind, prefix: str = "") -> Iterator[os.DirEntry[str]]:
        """Yield the files of one kind in one collection whose names start with `prefix`; blocks.

        What lies elsewhere than the layout has it is no asset.
        """
        base = self._root / collection / kind.value
        self._ground.verify(base)
        for directories in self._shards(base, prefix):
            with suppress(FileNotFoundError, NotADirectoryError), opened_below(base, directories) as directory:
                for entry in entries_of(directory):
                    is_visible = entry.name.startswith(prefix) and not entry.name.startswith(".")
                    is_here = is_visible and self._layout.directories(entry.name) == directories
                    if is_here and entry.is_file(follow_symlinks=False):
                        yield entry

    def _shards(self, base: Path, prefix: str) -> Iterator[Sequence[str]]:
        """Yield the directories below `base` where assets lie whose names start with `prefix`; blocks."""
        if self._layout is Layout.FLAT or len(prefix) >= _SHARDED_BY:
            yield self._layout.directories(prefix)
            return
        for first in _subdirectories(base):
            for second in _subdirectories(base, first):
                yield [first, second]

    async def sizes(self, collection: str) -> AsyncGenerator[int, None]:
        """See `ISizes`."""
        threads = self._threads_in(collection)
        entries = self._entries(collection, Kind.ORIGINAL)
        while sizes := await threads.run(lambda: [_size(entry) for entry in islice(entries, _LISTED_AT_ONCE)]):
            yield sum(sizes)

    def collections(self) -> Iterator[str]:
        """See `ILocalFiles`."""
        with suppress(FileNotFoundError, NotADirectoryError), opened_below(self._root) as root:
            for entry in entries_of(root):
                if entry.is_dir(follow_symlinks=False):
                    with suppress(BadName):
                        yield check_directory(entry.name)

    def files(self, collection: str, kind: Kind) -> Iterator[os.DirEntry[str]]:
        """See `ILocalFiles`."""
        return self._entries(collection, kind)

    async def check(self) -> None:
        """See `IAssetStore`."""
        try:
            await self._threads_of(None).run(self._check)
        except AssetNotFound:
            raise StoreUnavailable("the store's directory does not exist and cannot be made") from None

    def _check(self) -> None:
        self._ground.prepare()
        self._ground.verify_all()
        # Nothing of it is left, wherever an operator has a look.
        TemporaryFile(dir=self._root).close()
        staging = self._root / STAGING
        if os.path.lexists(staging) and (staging.is_symlink() or not staging.is_dir()):
            raise StoreUnavailable(f"{STAGING} in the store's directory is no directory: uploads need it")

    def _has_mark(self, is_same_inode: bool) -> bool:
        """Whether what is in the place of the root is the root, under other numbers."""
        if self._presence:
            return self._presence.is_there()
        # Of several processes only the first one leaves a file.
        return is_same_inode and (self._root / NEIGHBOURS).is_dir()

    async def exists(self) -> bool:
        """See `IRooted`."""
        return await self._threads_of(None).run(self._ground.exists)

    async def accept(self, collections: Iterable[str]) -> bool:
        """See `IRooted`."""
        changed = await self._threads_of(None).run(lambda: self._ground.accept(self._bases(collections)))
        if changed:
            self._end_presence()
        return changed

    async def clean(self, collections: Iterable[str]) -> int:
        """See `ILocalFiles`."""
        return await self._threads_of(None).run(self._clean, collections)

    def _clean(self, collections: Iterable[str]) -> int:
        return sum(map(remove_stale, [self._root, *self._bases(collections)]))

    def _bases(self, collections: Iterable[str]) -> Sequence[Path]:
        """Return the directories of originals and of thumbnails in these collections."""
        return [self._root / collection / kind.value for collection in collections for kind in Kind]

    async def neighbours(self) -> Sequence[str]:
        """See `INeighbours`."""
        threads = self._threads_of(None)
        if self._presence is None:
            settled = await threads.acquire(Presence.end, Presence, self._root)
            if self._closed or self._presence:
                # The store was closed meanwhile, or asked once more.
                self._end(settled)
            else:
                self._presence = settled
        return await threads.run(self._presence.others) if self._presence else []

    async def stage(self, near: AssetKey | None) -> IStagingFile:
        """See `ILocalFiles`."""
        threads = self._threads_of(near)
        return await threads.acquire(StagingFile.discard, self._stage, threads, near)

    def _stage(self, threads: DiskThreads, near: AssetKey | None) -> StagingFile:
        self._ground.prepare()
        base = self._base(near) if near else self._root
        self._ground.verify(base)
        try:
            return stage(threads, base)
        except OSError as error:
            if error.errno in _IN_THE_WAY:
                _log.error("{path} is no directory, but a link or a file: uploads need it", path=base / STAGING)
                raise StoreUnavailable("a link or a file in the store is in the way of uploads") from error
            raise

    async def adopt(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ILocalFiles`."""
        return await self._adopt(staged, key, replace=True)

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ICreates`."""
        return await self._adopt(staged, key, replace=False)

    async def _adopt(self, staged: IStagingFile, key: AssetKey, replace: bool) -> AssetStat:
        try:
            return file_stat(await self._threads_of(key).run(self._publish, staged, key, replace))
        except _OtherDeviceError:
            async with self._filled(key, staged.read()) as near:
                return await self._adopt(near, key, replace)

    def _publish(self, staged: IStagingFile, key: AssetKey, replace: bool) -> os.stat_result:
        base = self._base(key)
        self._ground.verify(base)
        try:
            make_directory(base)
            with opened_below(base, self._layout.directories(key.name), create=True) as directory:
                return staged.publish(directory, key.name, replace)
        except FileExistsError:
            raise AssetExists("an asset of this name exists") from None
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise _OtherDeviceError from error
            if error.errno in _IN_THE_WAY:
                raise StoreUnavailable("a link or a file in the store is in the way of the asset") from error
            raise

    async def close(self) -> None:
        """See `IAssetStore`."""
        self._closed = True
        self._end_presence()
        self._cached.close()
        await gatherResults([Deferred.fromCoroutine(threads.close()) for threads in self._threads.values()])

    def _end_presence(self) -> None:
        if self._presence:
            self._end(self._presence)
            self._presence = None

    def _end(self, presence: Presence) -> None:
        # Not waited for but with the other calls: it may hang as they may.
        ending = self._threads_of(None).run(presence.end)
        ending.addErrback(lambda failure: None if failure.check(AssetError) else failure)


def _subdirectories(base: Path, *names: str) -> Iterator[str]:
    """Yield the names of directories that the sharded layout may have made, none of them a link; blocks."""
    with suppress(FileNotFoundError, NotADirectoryError), opened_below(base, names) as directory:
        for entry in entries_of(directory):
            if len(entry.name) == _SHARD_SIZE and entry.is_dir(follow_symlinks=False):
                yield entry.name


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


class _OtherDeviceError(Exception):
    """The staging file is on another file system than its target."""


@attrs.frozen
class FilesystemOptions:
    """`[stores.NAME]` with `plugin = "filesystem"`."""

    path: Path
    layout: Layout = Layout.FLAT


filesystem = StorePlugin("filesystem", FilesystemOptions, lambda options: FilesystemStore(options.path, options.layout))
