"""A plugin for tests and benches: a store of any number of assets, of which none is stored.

Names and contents are computed. Thumbnails there are a tenth more than originals, which those have lost.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import NoReturn

import attrs
from zope.interface import implementer

from was_daemon.plugins import (
    AssetKey,
    AssetNotFound,
    AssetStat,
    IAssetStore,
    Kind,
    MemoryReader,
    StorePlugin,
    StoreUnavailable,
)

_MODIFIED = 1_700_000_000.5


@attrs.frozen
class NumberedOptions:
    """`count` is how many originals there are."""

    count: int


@implementer(IAssetStore)
class NumberedStore:
    """The originals `asset-0000000.jpg`, `asset-0000001.jpg` and so on, each with one thumbnail."""

    def __init__(self, options: NumberedOptions) -> None:
        self._counts = {Kind.ORIGINAL: options.count, Kind.THUMBNAIL: options.count * 11 // 10}

    def __str__(self) -> str:
        return f"{self._counts[Kind.ORIGINAL]} numbers"

    async def stat(self, key: AssetKey) -> AssetStat:
        return (await self.open(key)).stat

    async def open(self, key: AssetKey) -> MemoryReader:
        number = key.name[len("asset-") :][:7]
        if not number.isdigit() or int(number) >= self._counts[key.kind] or key.name != _name(int(number), key.kind):
            raise AssetNotFound("no such asset")
        content = key.name.encode()
        return MemoryReader(content, AssetStat(len(content), _MODIFIED, number))

    async def write(self, key: AssetKey, chunks: AsyncIterator[bytes], size: int | None = None) -> NoReturn:
        raise StoreUnavailable("numbers cannot be written to")

    async def delete(self, key: AssetKey) -> NoReturn:
        raise StoreUnavailable("numbers cannot be deleted")

    async def list(self, collection: str, kind: Kind, prefix: str = "") -> AsyncGenerator[AssetKey, None]:
        for number in range(self._counts.get(kind, 0)):
            name = _name(number, kind)
            if name.startswith(prefix):
                yield AssetKey(collection, kind, name)

    async def check(self) -> None:
        """Numbers are always there."""

    async def close(self) -> None:
        """There is nothing to release."""


def _name(number: int, kind: Kind) -> str:
    return f"asset-{number:07}.jpg" if kind is Kind.ORIGINAL else f"asset-{number:07}_123.jpg"


numbered = StorePlugin("numbered", NumberedOptions, NumberedStore)
