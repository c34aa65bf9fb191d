"""Local files for work that needs files: copies of remote originals, unfinished uploads, and the output of workers."""

import hashlib
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing, suppress
from io import FileIO
from pathlib import Path
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.concurrency.locks import KeyLocks
from was_daemon.config.process_share import ProcessShare
from was_daemon.library.collections import Original
from was_daemon.model.errors import AssetError, AssetNotFound, StoreUnavailable, VersionGone
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IFileReader, ILocalFiles, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.stores.local.directories import Entry, entries_of, opened_below
from was_daemon.stores.local.disk import open_regular
from was_daemon.stores.local.file_reader import FileReader
from was_daemon.stores.local.staging import StagingFile, remove_stale, stage
from was_daemon.telemetry.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")

_COPIES = "copies"
_COPY = re.compile(r"was-[0-9a-f]{64}\.copy")
"""The names of copies, which no other file in the directory has."""

_MOST_COPIES = 4_000
"""The largest number of copies, however small they are: their names and sizes are in memory."""


class Spool:
    """A private directory of temporary files and of the copies used last, some thousands within `max_size` bytes.

    Each process of a daemon has copies of its own, as no process knows when others use theirs; `process` tells which.
    """

    _log = Logger()

    def __init__(
        self, root: Path, max_size: int, metrics: Metrics | None = None, process: ProcessShare | None = None
    ) -> None:
        self._opens = (metrics or Metrics()).spool_opens
        self.root = root
        self._process = process or ProcessShare()
        self._copies_directory = _COPIES if self._process.is_first else f"{_COPIES}-{self._process.number}"
        self.max_size = max_size
        self._threads = DiskThreads(f"spool {root}", subject="spool")
        self._locks: KeyLocks[AssetKey] = KeyLocks()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._publishing = DeferredLock()

    async def start(self) -> int:
        """Look for copies, and remove the files that a killed process left; fires with the number of removed files."""
        copies = await self._threads.run(self._copies)
        # Copies made meanwhile are newer.
        self._sizes = OrderedDict({**copies, **self._sizes})
        return await self._threads.run(remove_stale, self.root)

    def _copies(self) -> dict[str, int]:
        """Return the sizes of the copies by name, the least recently used first."""
        if self._process.is_first:
            self._remove_copies_of_extra_processes()
        copies = _copies_in(self.root, self._copies_directory)
        return {name: status.st_size for name, status in sorted(copies.items(), key=lambda copy: copy[1].st_atime)}

    def _remove_copies_of_extra_processes(self) -> None:
        """Remove the copies of processes that do not exist any more, because the settings ask for fewer."""
        for directory in self.root.glob(f"{_COPIES}-*"):
            number = directory.name.removeprefix(f"{_COPIES}-")
            if number.isdecimal() and int(number) > self._process.count:
                for name in _copies_in(self.root, directory.name):
                    _remove_copy(self.root, directory.name, name)
                with suppress(OSError):
                    directory.rmdir()

    @property
    def size(self) -> int:
        """The size of all copies in bytes."""
        return sum(self._sizes.values())

    async def stage(self) -> IStagingFile:
        """Open a temporary file; the caller discards it."""
        return await self._staged(durable=False)

    def reader(self, staged: IStagingFile, version: AssetStat) -> FileReader:
        """Open what was written to a temporary file of this spool, as `version`; it may be discarded meanwhile."""
        return FileReader(lambda: self._threads, os.dup(staged.fileno()), version)

    async def _staged(self, durable: bool) -> StagingFile:
        return await self._threads.acquire(StagingFile.discard, self._stage, durable)

    async def directory(self, name: str) -> Path:
        """Fire with a directory `name` in the spool, for files that only this user may write."""
        await self._threads.run(self._make_root)
        return self.root / name

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking `function` in a thread of the spool's disk; raise OSErrors as `StoreUnavailable`."""
        return await self._threads.run(function, *args, **kwargs)

    def _stage(self, durable: bool) -> StagingFile:
        self._make_root()
        return stage(self._threads, self.root, durable)

    def _make_root(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.root.lstat()
        # The default lies in a directory that all users share: somebody may have been there first.
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise StoreUnavailable("the spool directory belongs to somebody else")

    async def open(self, original: Original) -> FileIO:
        """Open a local file with the bytes of an original; the caller closes it. Raises `AssetNotFound`.

        Opens a later version if this one was replaced meanwhile. Each version is fetched once. An open file stays
        readable when its copy is removed.
        """
        store, key = original.place.store, original.key
        if ILocalFiles.providedBy(store):
            return await ILocalFiles(store).in_thread(key, open_local, ILocalFiles(store), key)
        async with self._locks.exclusive(key):
            copy = await self._kept(_copy_name(store, key, original.stat.etag)) or await self._fetch_current(store, key)
        self._evict()
        return copy

    async def _kept(self, name: str) -> FileIO | None:
        if name not in self._sizes:
            return None
        self._sizes.move_to_end(name)
        try:
            copy = await self._threads.acquire(FileIO.close, open_regular, self.root / self._copies_directory / name)
        except AssetNotFound:
            # Something that cleans up temporary files has removed it.
            return None
        self._opens.labels("kept").inc()
        return copy

    async def _fetch_current(self, store: IAssetStore, key: AssetKey) -> FileIO:
        try:
            return await self._fetch(store, key)
        except VersionGone:
            return await self._fetch(store, key)

    async def _fetch(self, store: IAssetStore, key: AssetKey) -> FileIO:
        """Open a copy of the current version of `key`, or its file if a store made of others has it on a disk here."""
        reader = await store.open(key)
        try:
            if IFileReader.providedBy(reader):
                return IFileReader(reader).file()
            return await self._copy(reader, store, key)
        finally:
            await reader.close()

    async def _copy(self, reader: IAssetReader, store: IAssetStore, key: AssetKey) -> FileIO:
        self._opens.labels("fetched").inc()
        staged = await self._staged(durable=True)
        try:
            async with aclosing(reader.read()) as chunks:
                async for chunk in chunks:
                    await staged.write([chunk])
            name = _copy_name(store, key, reader.stat.etag)
            # Before it has its name: another daemon with this spool may be about to remove an older copy of that name.
            copy = await self._threads.acquire(FileIO.close, staged.reopen)
            try:
                async with self._publishing:
                    await self._threads.run(self._publish, staged, name)
                    self._sizes[name] = reader.stat.size
            except BaseException:
                copy.close()
                raise
            return copy
        finally:
            staged.discard()

    def _publish(self, staged: StagingFile, name: str) -> None:
        with opened_below(self.root, [self._copies_directory], create=True) as directory:
            staged.publish(directory, name)

    def _evict(self) -> None:
        excess = self.size - self.max_size
        for name in list(self._sizes):
            if excess <= 0 and len(self._sizes) <= _MOST_COPIES:
                return
            excess -= self._sizes.pop(name)
            Deferred.fromCoroutine(self._remove(name))

    async def _remove(self, name: str) -> None:
        try:
            async with self._publishing:
                # It may have been fetched again while this waited.
                if name not in self._sizes:
                    await self._threads.run(_remove_copy, self.root, self._copies_directory, name)
        except AssetError as error:
            self._log.error("Could not remove a copy: {error}", error=error)

    async def close(self) -> None:
        """End the threads."""
        await self._threads.close()


def open_local(files: ILocalFiles, key: AssetKey) -> FileIO:
    """Open the file of an asset on a disk of this machine for reading; blocks, raises OSError."""
    with files.directory(key) as directory:
        return open_regular(key.name, directory)


def _copies_in(root: Path, directory: str) -> dict[str, os.stat_result]:
    """Return the status of each copy in a directory of the spool, by name; blocks."""
    found: dict[str, os.stat_result] = {}
    with suppress(FileNotFoundError, NotADirectoryError), opened_below(root, [directory]) as opened:
        for entry in entries_of(opened):
            # Another daemon may be about to remove it.
            with suppress(FileNotFoundError):
                if _COPY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False)
    return found


def _remove_copy(root: Path, directory: str, name: str) -> None:
    """Remove a copy, if it is there; blocks."""
    with suppress(FileNotFoundError, NotADirectoryError), opened_below(root, [directory]) as opened:
        Entry(opened, name).unlink()


def _copy_name(store: IAssetStore, key: AssetKey, etag: str) -> str:
    version = "\0".join([str(store), key.collection, key.name, etag])
    return f"was-{hashlib.sha256(version.encode()).hexdigest()}.copy"
