"""The copies of a mirror, and the one process of the machine that has them follow."""

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.model.interfaces import IAssetStore
from was_daemon.stores.layers.mirror.follower import Follower
from was_daemon.stores.layers.mirror.journal import MirrorJournal
from was_daemon.stores.layers.mirror.replicator import Replicator

_LEAD_SECONDS = 2.0
"""Seconds until it is looked again whether the process that has the copies follow has ended."""

_RECOVER_SECONDS = 10.0
"""Seconds until it is looked again for changes of processes that have ended."""


class Following:
    """The followers of all copies of the mirror called `name`, which work while no other process has them work."""

    _log = Logger()

    def __init__(
        self,
        name: str,
        primary: IAssetStore,
        copies: Mapping[str, IAssetStore],
        journal: MirrorJournal,
        parallel: int,
        clock: IReactorTime,
    ) -> None:
        self._name = name
        self._journal = journal
        self._clock = clock
        self._followers = {
            each: Follower(Replicator(primary, each, copy, journal), journal, parallel, clock)
            for each, copy in copies.items()
        }
        self._tasks = BackgroundTasks()

    @property
    def copied(self) -> Mapping[str, int]:
        """The number of changes that this process has carried out, by copy."""
        return {name: follower.copied for name, follower in self._followers.items()}

    @property
    def failures(self) -> Mapping[str, int]:
        """The number of attempts of this process that failed, by copy."""
        return {name: follower.failures for name, follower in self._followers.items()}

    def start(self) -> None:
        """Begin to work as soon as no other process does."""
        self._tasks.start(self._follow())

    def wake(self) -> None:
        """Look for changes now."""
        for follower in self._followers.values():
            follower.wake()

    def hold(self) -> None:
        """Begin with no other file for a moment, as there is a change."""
        for follower in self._followers.values():
            follower.hold()

    async def _follow(self) -> None:
        while not await self._lead():
            await deferLater(self._clock, _LEAD_SECONDS)
        for follower in self._followers.values():
            self._tasks.start(follower.run())
        while True:
            try:
                if await self._journal.recover():
                    self.wake()
            except StoreUnavailable as error:
                self._log.error("Store {name}: {error}", name=self._name, error=error)
            await deferLater(self._clock, _RECOVER_SECONDS)

    async def _lead(self) -> bool:
        try:
            await self._journal.announce()
            return await self._journal.try_lead()
        except AssetError as error:
            self._log.error("Store {name}: the copies do not follow: {error}", name=self._name, error=error)
            return False

    async def close(self) -> None:
        """Stop, also in the middle of a file."""
        self._tasks.cancel()
        await self._tasks.settled()
        for follower in self._followers.values():
            await follower.close()
