"""Making the thumbnails that are missing."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs
from twisted.internet.task import deferLater

from was_daemon.cli.places import path_of, place_of
from was_daemon.cli.work import Report
from was_daemon.errors import AssetError, AssetNotFound, BrokenImage, NoThumbnail
from was_daemon.graph import Graph
from was_daemon.keys import AssetKey, Kind


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

    graph: Graph
    directories: Sequence[str]
    scales: Sequence[int]
    pace: Pace
    report: Report

    async def originals(self) -> AsyncGenerator[AssetKey, None]:
        """What there could be thumbnails of; a store that makes them itself is left out."""
        for directory in self.directories:
            place = place_of(self.graph.collections, directory)
            if place.makes_thumbnails:
                continue
            async with aclosing(place.store.list(directory, Kind.ORIGINAL)) as keys:
                async for key in keys:
                    yield key

    async def warm(self, key: AssetKey) -> None:
        """Make the thumbnails of one original."""
        try:
            made = await self.graph.thumbnails.make_missing(key, self.scales)
        except AssetNotFound:
            # It was deleted meanwhile.
            return
        except NoThumbnail:
            self.report.count("refused")
        except BrokenImage as error:
            self.report.tell("refused", path_of(key), str(error))
        except AssetError as error:
            self.report.tell("failed", path_of(key), str(error))
            return
        else:
            self.report.counts["made"] += made
            self.report.counts["there"] += len(self.scales) - made
            if not made:
                return
        await self.pace.rest()
