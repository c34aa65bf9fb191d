"""Memory of originals that workers could not read, so that they are not tried again at once."""

import time
from collections import OrderedDict
from typing import Any, TypeAlias

from was_daemon.library.collections import Original
from was_daemon.model.errors import BrokenImage, Interrupted, NoThumbnail
from was_daemon.model.keys import AssetKey

_REMEMBERED = 1_000
"""The number of refusals that are remembered, of 0.6 KB each. Most cost a worker milliseconds, only few cost more."""

_SECONDS = 600
"""The time for which a refusal is remembered: a worker may have had too little memory for what others took."""

_SECONDS_OF_INTERRUPTION = 60
"""The same when workers were killed: most likely the file is not to blame, but if it is, each attempt costs two."""

Refusal: TypeAlias = NoThumbnail | BrokenImage | Interrupted
REFUSALS = (NoThumbnail, BrokenImage, Interrupted)


class Refusals:
    """Refusals of workers by version of the original, for ten minutes, or one if it may not be to blame."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[AssetKey, str, Any], tuple[float, type[Refusal], str]] = OrderedDict()

    def add(self, original: Original, refusal: Refusal, scope: Any = None) -> None:
        """Remember that `refusal` was raised for this version; `scope` tells apart what can be refused of it."""
        # Not the exception: it holds on to the frames it came through, and all that they hold.
        seconds = _SECONDS_OF_INTERRUPTION if isinstance(refusal, Interrupted) else _SECONDS
        refused = (time.monotonic() + seconds, type(refusal), str(refusal))
        self._refused[(original.key, original.stat.etag, scope)] = refused
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)

    def check(self, original: Original, scope: Any = None) -> None:
        """Raise the refusal that is remembered for this version in this scope, if any."""
        until, refusal, reason = self._refused.get((original.key, original.stat.etag, scope), (0.0, BrokenImage, ""))
        if time.monotonic() < until:
            raise refusal(reason)
