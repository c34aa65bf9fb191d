"""Assets whose bytes are at hand."""

from collections.abc import AsyncGenerator

import attrs
from zope.interface import implementer

from was_daemon.model.interfaces import AssetStat, IAssetReader

_CHUNK = 1 << 16


@implementer(IAssetReader)
@attrs.frozen
class HeldReader:
    """A version of an asset that is held in memory."""

    content: bytes = attrs.field(repr=False)
    stat: AssetStat

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `IAssetReader`."""
        end = len(self.content) if stop is None else min(stop, len(self.content))
        for position in range(start, end, _CHUNK):
            yield self.content[position : min(position + _CHUNK, end)]

    async def close(self) -> None:
        """Nothing is held but memory."""
