"""Files that workers could not read are not tried again at once."""

import time
from collections import OrderedDict

from was_daemon.model.errors import BrokenImage, NoThumbnail
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey

_REMEMBERED = 1_000
"""How many are remembered, of 0.6 KB each. Most take a worker milliseconds, and those that take it long are few."""

_SECONDS = 600


class Refusals:
    """What could not be made of which version, for ten minutes: a worker may have been killed for another's greed."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[AssetKey, str], tuple[float, type[NoThumbnail | BrokenImage], str]] = (
            OrderedDict()
        )

    def add(self, key: AssetKey, original: AssetStat, refusal: NoThumbnail | BrokenImage) -> None:
        """Remember that `refusal` was raised for this version of `key`."""
        # Not the exception: it holds on to the frames it came through, and all that they hold.
        self._refused[(key, original.etag)] = (time.monotonic() + _SECONDS, type(refusal), str(refusal))
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)

    def check(self, key: AssetKey, original: AssetStat) -> None:
        """Raise again what was raised for this version of `key` a while ago."""
        until, refusal, reason = self._refused.get((key, original.etag), (0.0, BrokenImage, ""))
        if time.monotonic() < until:
            raise refusal(reason)
