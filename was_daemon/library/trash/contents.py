"""Listing and reading of the trash."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import attrs

from was_daemon.library.trash.trash import is_void
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.lookup import find_stat
from was_daemon.model.trash import MAX_RECORD_BYTES, TrashedVersion, TrashId


@attrs.frozen
class TrashSize:
    """The number of versions in the trash, and their bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "TrashSize") -> "TrashSize":
        return TrashSize(self.files + other.files, self.bytes + other.bytes)


NO_TRASH = TrashSize()


async def size_of_trash(store: IAssetStore, directory: str) -> TrashSize:
    """Fire with what is in the trash of a collection. Only the names are looked at, which tell the sizes."""
    files = total = 0
    async with aclosing(store.list(directory, Kind.TRASH)) as keys:
        async for key in keys:
            if found := TrashId.of_file(key):
                files += 1
                total += found.size
    return TrashSize(files, total)


async def records(store: IAssetStore, directory: str, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
    """Yield the keys of the records in the trash of a collection, whose names begin with `prefix`; see `prefix_of`."""
    async with aclosing(store.list(directory, Kind.TRASH, prefix)) as keys:
        async for key in keys:
            if TrashId.of_record(key):
                yield key


async def read_record(store: IAssetStore, key: AssetKey) -> TrashedVersion | None:
    """Fire with the version that the record at `key` describes; None if it is gone, or no record of a daemon's."""
    try:
        reader = await store.open(key)
    except AssetNotFound:
        return None
    try:
        if reader.stat.size > MAX_RECORD_BYTES:
            return None
        async with aclosing(reader.read()) as chunks:
            return TrashedVersion.parse(b"".join([chunk async for chunk in chunks]), key)
    finally:
        await reader.close()


async def can_be_restored(store: IAssetStore, trashed: TrashedVersion) -> bool:
    """Fire with whether the version is in the trash, and is not void; see `trash`."""
    return await find_stat(store, trashed.file) is not None and not await is_void(store, trashed)
