"""Making the thumbnails that are missing."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs
from twisted.internet.task import deferLater

from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.thumbnails import Thumbnail
from was_daemon.jobs.work import JobReport
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError, AssetNotFound, BrokenImage, NoThumbnail
from was_daemon.model.keys import AssetKey, Kind, Layout


class Pace:
    """At most `rate` turns a second, as many as there are without."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0

    async def rest(self) -> None:
        """Wait for one's turn."""
        from twisted.internet import reactor

        now = time.monotonic()
        self._next = max(self._next, now) + self._interval
        if self._interval:
            await deferLater(reactor, self._next - now)


@attrs.frozen
class Warmer:
    """Makes thumbnails of `scales` as the daemon does, and reports."""

    collections: Collections
    derivatives: Derivatives
    directories: Sequence[str]
    scales: Sequence[int]
    pace: Pace
    report: JobReport

    async def originals(self) -> AsyncGenerator[AssetKey, None]:
        """What there could be thumbnails of; a store that makes them itself is left out."""
        for directory in self.directories:
            place = self.collections.place_in(directory)
            if place.makes_thumbnails:
                continue
            async with aclosing(place.store.list(directory, Kind.ORIGINAL)) as keys:
                async for key in keys:
                    yield key

    async def warm(self, key: AssetKey) -> None:
        """Make the thumbnails of one original."""
        try:
            original = await self.collections.find(key)
            made = await self.derivatives.make_missing(original, [Thumbnail(scale) for scale in self.scales])
        except AssetNotFound:
            # It was deleted meanwhile.
            return
        except NoThumbnail:
            self.report.count("refused")
        except BrokenImage as error:
            self.report.tell("refused", Layout.FLAT.path(key), str(error))
        except AssetError as error:
            self.report.tell("failed", Layout.FLAT.path(key), str(error))
            return
        else:
            self.report.count("made", made)
            self.report.count("there", len(self.scales) - made)
            if not made:
                return
        await self.pace.rest()
