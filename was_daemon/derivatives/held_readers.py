"""Readers of remote files that stay open from one request to the next: opening a file costs a request to its server."""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

from twisted.internet.defer import Deferred
from zope.interface import implementer

from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore
from was_daemon.model.keys import AssetKey

_MAX_HELD = 16
"""Maximum number of readers: some servers hold a file open for each."""

HeldFile: TypeAlias = tuple[IAssetStore, AssetKey]
"""A file in a store."""


@implementer(IAssetReader)
class HeldReader:
    """Reader that is closed when it is dropped and nobody reads, not when a request is done with it."""

    def __init__(self, reader: IAssetReader) -> None:
        self.stat: AssetStat = reader.stat
        self.has_failed = False
        self._reader = reader
        self._reads = 0
        self._is_dropped = False

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        self._reads += 1
        try:
            async with aclosing(self._reader.read(start, stop)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except AssetError:
            # Another version is stored by now, or the connection is another one.
            self.has_failed = True
            raise
        finally:
            self._reads -= 1
            await self._close_unused()

    async def close(self) -> None:
        """Do nothing: others may use it."""

    async def drop(self) -> None:
        """Close the reader as soon as nobody reads."""
        self._is_dropped = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        if self._is_dropped and not self._reads:
            await self._reader.close()


class HeldReaders:
    """Cache of the most recently used readers."""

    def __init__(self) -> None:
        self._held: OrderedDict[HeldFile, HeldReader] = OrderedDict()

    def get(self, file: HeldFile) -> HeldReader | None:
        """Return the reader of a file, if one is held and works."""
        held = self._held.get(file)
        if held and held.has_failed:
            self.drop(file)
            return None
        if held:
            self._held.move_to_end(file)
        return held

    def hold(self, file: HeldFile, reader: IAssetReader) -> HeldReader:
        """Hold a reader, and drop the least recently used one when there are too many."""
        self.drop(file)
        self._held[file] = held = HeldReader(reader)
        if len(self._held) > _MAX_HELD:
            self.drop(next(iter(self._held)))
        return held

    def drop(self, file: HeldFile) -> None:
        """Hold the reader of a file no longer."""
        held = self._held.pop(file, None)
        if held:
            Deferred.fromCoroutine(held.drop())
