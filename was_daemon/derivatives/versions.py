"""Which thumbnails this process has made last, from which smaller ones can be made."""

from collections import OrderedDict
from collections.abc import Iterable

import attrs

from was_daemon.model.keys import AssetKey

_ORIGINALS = 1_000
"""How many are remembered, of 1 KB each: a curator who looks at one in two sizes does so within minutes."""

_SCALES = 16
_TIMES_LARGER = 2
"""From a thumbnail this many times larger, a smaller one comes out as it does from the original."""

_SHORTEST = 16
"""Pixels of the shorter side below which it does not: what JPEG did to the larger one is seen in so few."""


@attrs.frozen
class _Version:
    """One version of an original: its width and height, upright, and the scales of thumbnails that were made of it."""

    etag: str
    size: dict[str, int]
    scales: frozenset[int] = frozenset()


class Versions:
    """The scales of the thumbnails made last, of so many originals and so many each, and the version they show.

    Others may have removed or replaced them since: whoever uses one looks at what it shows. Of those that were made of
    a thumbnail themselves nothing is to be told here: with each step there is more of a difference to the original.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[AssetKey, _Version] = OrderedDict()

    def add(self, key: AssetKey, etag: str, size: dict[str, int], scales: Iterable[int]) -> None:
        """Remember that thumbnails of these scales were made of the version `etag` of `key` itself."""
        before = self._made.pop(key, None)
        known = before.scales if before and before.etag == etag else frozenset()
        # The largest are good for the most.
        largest = sorted(known.union(scales))[-_SCALES:]
        self._made[key] = _Version(etag, size, frozenset(largest))
        if len(self._made) > _ORIGINALS:
            self._made.popitem(last=False)

    def larger(self, key: AssetKey, scale: int, etag: str) -> tuple[int, dict[str, int]] | None:
        """Of which scale of that version a thumbnail of `scale` is best made, and the original's size; None if none."""
        version = self._made.get(key)
        if not version or version.etag != etag:
            return None
        shorter, longer = sorted(version.size.values())
        if scale * shorter < _SHORTEST * longer:
            return None
        large = [each for each in version.scales if each >= _TIMES_LARGER * scale]
        return (min(large), version.size) if large else None
