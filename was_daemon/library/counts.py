"""What collections with a quota have.

It is counted at the start, and again now and then, as files are copied in by hand and by other daemons; in between it
is known by what comes and goes. No request waits for a count.
"""

from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from math import nan

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.library.ledger import Change, Changes, Ledger
from was_daemon.library.usage import Usage
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import IAssetStore, ISizes
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.telemetry.metrics import Metrics, show

_COUNTED_AT_ONCE = 4
"""How many collections are counted at the same time."""

_TURN_SECONDS = 60.0
"""After this long another may begin: a store that hangs does not keep the others from being counted."""

_SHARE = 20
"""A count that takes long is repeated less often: it takes at most this part of the time."""

_RETRY_SECONDS = 300.0
"""A collection that could not be counted is tried again after this time at the latest."""

_STATS_AT_ONCE = 1000
"""Files after which others have a turn, in stores that answer at once."""


@attrs.frozen
class Home:
    """Where a collection with a quota is, and its quota in bytes."""

    store: IAssetStore
    directory: str
    quota: int


class Counts:
    """Those of the configuration that it was told last by `follow`: of one process, for all of a daemon."""

    _log = Logger()

    def __init__(self, metrics: Metrics) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._metrics = metrics
        self._interval = 0.0
        self._usages: dict[tuple[IAssetStore, str], Usage] = {}
        self._counting: dict[tuple[IAssetStore, str], Deferred[None]] = {}
        self._turns = DeferredSemaphore(_COUNTED_AT_ONCE)
        self._under_way: Changes = {}
        # Within one configuration a directory is used on one store only.
        self._by_directory: Mapping[str, Usage] = {}
        self.named: Mapping[str, Usage] = {}

    def follow(self, homes: Mapping[str, Home], interval: float) -> None:
        """Keep these from now on, by the collections' names, and count them every `interval` seconds.

        What is known of a place in a store that stays is kept.
        """
        is_same_interval, self._interval = interval == self._interval, interval
        before, self._usages = self._usages, {}
        for home in homes.values():
            place = home.store, home.directory
            usage = self._usages[place] = before.get(place) or Usage(home.quota)
            usage.quota = home.quota
        kept = before.keys() & self._usages.keys() if is_same_interval else set()
        for place in before.keys() - kept:
            self._counting.pop(place).cancel()
        for place in self._usages.keys() - kept:
            self._counting[place] = Deferred.fromCoroutine(self._keep_counted(*place, self._usages[place]))
            self._counting[place].addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._by_directory = {directory: usage for (_, directory), usage in self._usages.items()}
        self.named = {name: self._usages[home.store, home.directory] for name, home in homes.items()}
        self._show()

    def ledger(self) -> Ledger:
        """What is kept for one more process."""
        return Ledger(lambda directory: self._by_directory.get(directory), self._under_way, self._begin_to_settle)

    def _begin_to_settle(self, original: tuple[str, str]) -> None:
        Deferred.fromCoroutine(self._settle(*original)).addErrback(
            lambda failure: self._log.failure("It is not known what a killed process has stored", failure)
        )

    async def _settle(self, directory: str, name: str) -> None:
        """Look whether a change that a killed process was about to make has happened."""
        doubtful = self._under_way[directory, name]
        key = AssetKey(directory, Kind.ORIGINAL, name)
        happened = None
        while happened is None:
            store = next((store for store, each in self._usages if each == directory), None)
            happened = False if store is None else await self._has_changed(store, key, doubtful)
        # Who has begun another change meanwhile has told what there was.
        if self._under_way.get((directory, name)) is doubtful:
            self._under_way.pop((directory, name)).end(happened)

    async def _has_changed(self, store: IAssetStore, key: AssetKey, change: Change) -> bool | None:
        """Whether an original has become another; None, after some time, if its store does not tell."""
        try:
            return await size_of(store, key) != change.replaced
        except AssetError as error:
            self._log.warn(
                "It is not known yet what a killed process has stored in {store}: {error}", store=store, error=error
            )
        await deferLater(self._clock, _RETRY_SECONDS)
        return None

    def _show(self) -> None:
        used, quota = self._metrics.collection_used, self._metrics.collection_quota
        # Collections may be gone.
        used.clear()
        quota.clear()
        for name, usage in self.named.items():
            show(used, partial(_used, usage), collection=name)
            show(quota, partial(getattr, usage, "quota"), collection=name)

    async def _keep_counted(self, store: IAssetStore, directory: str, usage: Usage) -> None:
        while True:
            await self._turns.acquire()
            turn = self._clock.callLater(_TURN_SECONDS, self._turns.release)
            begin = self._clock.seconds()
            try:
                done = await self._count(store, directory, usage)
            finally:
                if turn.active():
                    turn.cancel()
                    self._turns.release()
            pause = max(self._interval, (_SHARE - 1) * (self._clock.seconds() - begin))
            await deferLater(self._clock, pause if done else min(pause, _RETRY_SECONDS))

    async def _count(self, store: IAssetStore, directory: str, usage: Usage) -> bool:
        """Count once; whether it was possible."""
        usage.begin_count()
        try:
            usage.end_count(await self._bytes_in(store, directory))
        except CancelledError:
            raise
        except AssetError as error:
            self._log.error("The originals in {store} could not be counted: {error}", store=store, error=error)
            return False
        except Exception:
            self._log.failure("The originals in {store} could not be counted", store=store)
            return False
        return True

    async def _bytes_in(self, store: IAssetStore, directory: str) -> int:
        total = 0
        if ISizes.providedBy(store):
            async with aclosing(ISizes(store).sizes(directory)) as sizes:
                async for size in sizes:
                    total += size
            return total
        number = 0
        async with aclosing(store.list(directory, Kind.ORIGINAL)) as keys:
            async for key in keys:
                total += await size_of(store, key)
                number += 1
                if not number % _STATS_AT_ONCE:
                    await deferLater(self._clock, 0)
        return total

    def stop(self) -> None:
        """Count no more, and look for nothing."""
        self._usages = {}
        for counting in self._counting.values():
            counting.cancel()


def _used(usage: Usage) -> float:
    return nan if usage.used is None else usage.used


async def size_of(store: IAssetStore, key: AssetKey) -> int:
    """The bytes of an original, none if there is none."""
    try:
        return (await store.stat(key)).size
    except AssetNotFound:
        return 0
