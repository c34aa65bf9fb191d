"""Files that workers could not read are not tried again at once."""

import time
from collections import OrderedDict

from was_daemon.errors import BrokenImage, NoThumbnail
from was_daemon.interfaces import AssetStat
from was_daemon.keys import AssetKey

_REMEMBERED = 10_000
_SECONDS = 600


class Refusals:
    """What could not be made of which version, for ten minutes: a worker may have been killed for another's greed."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[AssetKey, str], tuple[float, NoThumbnail | BrokenImage]] = OrderedDict()

    def add(self, key: AssetKey, original: AssetStat, refusal: NoThumbnail | BrokenImage) -> None:
        """Remember that `refusal` was raised for this version of `key`."""
        # A copy: what was raised has a traceback, and with it the request, its connection and its files.
        copy = type(refusal)(*refusal.args)
        self._refused[(key, original.etag)] = (time.monotonic() + _SECONDS, copy)
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)

    def check(self, key: AssetKey, original: AssetStat) -> None:
        """Raise again what was raised for this version of `key` a while ago."""
        until, refusal = self._refused.get((key, original.etag), (0.0, None))
        if refusal and time.monotonic() < until:
            raise type(refusal)(*refusal.args)
