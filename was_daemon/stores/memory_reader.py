"""Assets whose bytes are in memory."""

from collections.abc import AsyncGenerator

import attrs
from zope.interface import implementer

from was_daemon.model.interfaces import AssetStat, IAssetReader

_CHUNK = 1 << 16


@implementer(IAssetReader)
@attrs.frozen
class MemoryReader:
    """Reader of a version of an asset that is in memory."""

    content: bytes = attrs.field(repr=False)
    stat: AssetStat

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        end = len(self.content) if stop is None else min(stop, len(self.content))
        for position in range(start, end, _CHUNK):
            yield self.content[position : min(position + _CHUNK, end)]

    async def close(self) -> None:
        """Do nothing: only memory is held."""
