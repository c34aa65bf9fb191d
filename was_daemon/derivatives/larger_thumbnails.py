"""Memory of the thumbnails that this process made last, of which smaller ones can be made."""

from collections import OrderedDict
from collections.abc import Iterable

import attrs

from was_daemon.model.keys import AssetKey

_ORIGINALS = 1_000
"""The number of originals that are remembered, of 1 KB each: a second size is asked for within minutes."""

_SCALES = 16
"""The number of scales that are remembered of each original, the largest ones."""

_TIMES_LARGER = 2
"""The factor from which on a thumbnail made of a larger one looks as if made of the original."""

_SHORTEST = 16
"""The pixels of the shorter side below which it does not: in so few the artefacts of JPEG are visible."""


@attrs.frozen
class _Version:
    """One version of an original: its width and height, upright, and the scales of the thumbnails made of it."""

    etag: str
    size: dict[str, int]
    scales: frozenset[int] = frozenset()


class LargerThumbnails:
    """The scales of the thumbnails made last, and the version of the original that they show.

    The thumbnails may be removed or replaced by others: the caller checks the mark of one before using it. Thumbnails
    that were made of a thumbnail are not to be added: each step adds to the difference from the original.
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
        """Return the scale of the thumbnail to make one of `scale` from, and the original's size; None if none fits."""
        version = self._made.get(key)
        if not version or version.etag != etag:
            return None
        shorter, longer = sorted(version.size.values())
        if scale * shorter < _SHORTEST * longer:
            return None
        large = [each for each in version.scales if each >= _TIMES_LARGER * scale]
        return (min(large), version.size) if large else None
