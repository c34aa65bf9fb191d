"""Local files for work that needs files: copies of remote originals, uploads on their way, what workers write."""

import os
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from was_daemon.errors import StoreUnavailable
from was_daemon.interfaces import IAssetStore, ILocalFiles, IStagingFile
from was_daemon.keys import AssetKey
from was_daemon.stores.disk import DiskThreads
from was_daemon.stores.staging import DIRECTORY, StagingFile, remove_stale, stage


class Spool:
    """A private directory for temporary files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = DiskThreads(f"spool {root}")

    async def clean(self) -> int:
        """Remove what a killed process left; fires with the number of files."""
        return await self._threads.run(remove_stale, self._root / DIRECTORY)

    async def stage(self) -> IStagingFile:
        """Open a temporary file; the caller discards it."""
        return await self._threads.acquire(StagingFile.discard, self._stage)

    def _stage(self) -> StagingFile:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self._root.lstat()
        # The default lies in a directory that all users share: somebody may have been there first.
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise StoreUnavailable("the spool directory belongs to somebody else")
        return stage(self._threads, self._root / DIRECTORY)

    @asynccontextmanager
    async def local(self, store: IAssetStore, key: AssetKey) -> AsyncIterator[Path]:
        """A file with the bytes of `key`, for as long as the context lasts; raises `AssetNotFound`."""
        if ILocalFiles.providedBy(store):
            yield ILocalFiles(store).path(key)
            return
        staged = await self.stage()
        try:
            reader = await store.open(key)
            try:
                async with aclosing(reader.read()) as chunks:
                    async for chunk in chunks:
                        await staged.write([chunk])
            finally:
                await reader.close()
            yield staged.path
        finally:
            staged.discard()

    async def close(self) -> None:
        """End the threads."""
        self._threads.close()
