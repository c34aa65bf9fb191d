"""The choice among the previews that ResourceSpace has made of a resource."""

import time
from collections.abc import Callable
from typing import Any

import attrs

from was_daemon.model.errors import StoreFailed

_LEAST_PART = 0.5
"""Part of the asked size that a preview's longer side has at least: rather than show less, the daemon makes one."""

_MISSING_SECONDS = 300.0
_MOST_MISSING = 10_000
"""Number of sizes of versions that are remembered."""


@attrs.frozen
class Preview:
    """A picture of a resource, its size in pixels, and the address that was told for it."""

    code: str
    width: int
    height: int
    address: str

    @property
    def longer(self) -> int:
        """The longer side in pixels."""
        return max(self.width, self.height)


def previews_of(told: Any) -> list[Preview]:
    """Return the JPEGs in an answer of `get_resource_all_image_sizes`; raises `StoreFailed` when it is none."""
    if not isinstance(told, list):
        raise StoreFailed("the store gave no proper answer", "ResourceSpace told sizes as no list")
    return [preview for each in told if (preview := _preview(each))]


def _preview(told: Any) -> Preview | None:
    """Return a preview of the first page, None for the original and whatever has no size in pixels."""
    try:
        code, width, height = str(told["size_code"]), int(told["width"]), int(told["height"])
        is_picture = str(told["extension"]).lower() in ("jpg", "jpeg") and code != "original"
        return Preview(code, width, height, str(told["url"])) if is_picture and min(width, height) > 0 else None
    except (KeyError, TypeError, ValueError):
        return None


def best(previews: list[Preview], scale: int) -> Preview | None:
    """Return the largest preview that fits a box of `scale` x `scale` pixels, None if it were much smaller than it."""
    fitting = [preview for preview in previews if preview.longer <= scale]
    chosen = max(fitting, key=lambda preview: preview.longer, default=None)
    return chosen if chosen and chosen.longer >= scale * _LEAST_PART else None


class MissingPreviews:
    """Memory of which versions have no preview of a size, for some minutes: ResourceSpace may make them later."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, int], float] = {}

    def add(self, version: str, scale: int) -> None:
        """Note that the version with this etag has no preview for `scale`."""
        if len(self._until) >= _MOST_MISSING:
            self._until.clear()
        self._until[version, scale] = self._clock() + _MISSING_SECONDS

    def has(self, version: str, scale: int) -> bool:
        """Return whether the version with this etag had no preview for `scale` a short time ago."""
        return self._until.get((version, scale), 0.0) > self._clock()
