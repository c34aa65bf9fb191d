"""Staging files for tests of stores that take them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import open_staging_file
from was_daemon.model.interfaces import IAssetStore, IStagingFile
from was_daemon.model.keys import AssetKey


@asynccontextmanager
async def staged(store: IAssetStore, key: AssetKey, content: bytes, spool: Path) -> AsyncIterator[IStagingFile]:
    """Yield a staging file of `content`, which is below `spool` unless the store has a disk of this machine."""
    directory = Spool(spool, 0)
    try:
        file = await open_staging_file(store, key, directory)
        try:
            await file.write([content])
            yield file
        finally:
            file.discard()
    finally:
        await directory.close()
