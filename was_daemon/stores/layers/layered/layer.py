"""One layer, and the versions of originals in it as the layered store tells of them."""

from hashlib import sha256
from typing import Any

import attrs
from zope.interface import alsoProvides, implementer

from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IFileReader, IReadOnly
from was_daemon.stores.memory_reader import MemoryReader

_SECOND_NS = 10**9
_MICROSECOND_NS = 1000


@attrs.frozen
class Layer:
    """A layer below the first one, by its name in the configuration."""

    name: str
    store: IAssetStore
    _mark: str = attrs.field(
        init=False, repr=False, default=attrs.Factory(lambda self: sha256(self.name.encode()).hexdigest()[:8], True)
    )

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be deleted from it."""
        return bool(IReadOnly.providedBy(self.store))

    def version(self, stat: AssetStat) -> AssetStat:
        """Return a version in this layer as the layered store tells of it.

        Two layers may give one etag to different bytes. And if the time is in whole seconds, a fraction of the etag
        makes it one that only this version has: it stays when the version is promoted, and by it thumbnails are
        recognised that were made before.
        """
        return AssetStat(stat.size, _own_time(stat), f"{self._mark}-{stat.etag}")

    def opened(self, reader: IAssetReader) -> IAssetReader:
        """Return a reader of a version in this layer, as the layered store tells of it."""
        stat = self.version(reader.stat)
        return attrs.evolve(reader, stat=stat) if isinstance(reader, MemoryReader) else _VersionReader(reader, stat)


@implementer(IAssetReader)
class _VersionReader:
    """Reader of a version under another etag."""

    def __init__(self, reader: IAssetReader, stat: AssetStat) -> None:
        self.stat = stat
        self.read: Any = reader.read
        self.close: Any = reader.close
        if IFileReader.providedBy(reader):
            self.file = IFileReader(reader).file
            alsoProvides(self, IFileReader)


def _own_time(stat: AssetStat) -> float:
    if not stat.modified or stat.modified % 1:
        return stat.modified
    part = int.from_bytes(sha256(stat.etag.encode(errors="surrogatepass")).digest()[:8], "big") % 999_999 + 1
    return (int(stat.modified) * _SECOND_NS + part * _MICROSECOND_NS) / 1e9


def nanoseconds(seconds: float) -> int:
    """Return a time of a file, in nanoseconds, that is told as `seconds` in floating point."""
    whole = int(seconds)
    nearest = whole * _SECOND_NS + round((seconds - whole) * _SECOND_NS)
    # Floating point tells times some hundred nanoseconds apart.
    return next((each for each in _around(nearest) if each / 1e9 == seconds), nearest)


def _around(nanosecond: int) -> list[int]:
    return [nanosecond + sign * step for step in range(0, 512, 32) for sign in (1, -1)]
