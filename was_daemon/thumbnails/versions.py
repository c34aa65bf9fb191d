"""Which thumbnails this process has made last, from which smaller ones can be made."""

from collections import OrderedDict
from collections.abc import Mapping

from was_daemon.keys import AssetKey

_ORIGINALS = 10_000
_SCALES = 16
_TIMES_LARGER = 2
"""From a thumbnail this many times larger, a smaller one comes out as it does from the original."""


class Versions:
    """The scales of the thumbnails made last, of so many originals and so many each, with the version they show.

    Others may have removed or replaced them since: whoever uses one looks at what it shows.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[AssetKey, OrderedDict[int, str]] = OrderedDict()

    def add(self, key: AssetKey, scale: int, etag: str) -> None:
        """Remember that there is a thumbnail of that scale, of the version `etag` of `key`."""
        scales: OrderedDict[int, str] = self._made.setdefault(key, OrderedDict())
        scales[scale] = etag
        if len(scales) > _SCALES:
            scales.popitem(last=False)
        if len(self._made) > _ORIGINALS:
            self._made.popitem(last=False)

    def larger(self, key: AssetKey, scale: int, etag: str) -> int | None:
        """The smallest scale of that version from which a thumbnail of `scale` can be made; None without one."""
        scales: Mapping[int, str] = self._made.get(key, {})
        return min((s for s, made in scales.items() if made == etag and s >= _TIMES_LARGER * scale), default=None)
