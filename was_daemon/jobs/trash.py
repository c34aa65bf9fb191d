"""Emptying of the trash, by the daemon in the background.

Every daemon does it; of several with the same store one would do, and what another has removed is gone.
"""

import random
import time
from collections.abc import Mapping
from contextlib import aclosing

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.jobs.traverse import directories_in
from was_daemon.library.collections import Collections
from was_daemon.library.trash.contents import NO_TRASH, TrashSize
from was_daemon.library.trash.removal import TrashRemoval
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.trash import TrashId
from was_daemon.telemetry.metrics import Metrics

_LONGEST_PAUSE = 3600.0
_PAUSES_PER_KEEP = 20
"""A round is made every hour, or so many times in the time for which versions are kept, if that is shorter."""

_REMOVAL_SECONDS = 0.05
"""Pause after each removal: twenty a second disturb no store."""

_MOST_AT_ONCE = 10_000
"""Versions of a collection that are removed in one round; the next one goes on."""

_MOST_FAILURES = 5
"""Failures in a row after which a round leaves a store alone."""


@attrs.define
class _Round:
    """Result of one round in a store: what is left in its trash, and what was removed."""

    size: TrashSize = NO_TRASH
    removed: int = 0
    failures: int = 0
    problem: str | None = None


class TrashKeeper:
    """Removal of the versions that have been in the trash for more than `keep` seconds, in rounds until `close`.

    `sizes` has what was left in the trash of each store, by its name, after the last round.
    """

    _log = Logger()

    def __init__(
        self,
        collections: Collections,
        stores: Mapping[str, IAssetStore],
        removal: TrashRemoval,
        keep: float,
        metrics: Metrics,
    ) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._collections = collections
        self._stores = stores
        self._removal = removal
        self._keep = keep
        self._metrics = metrics
        self._tasks = BackgroundTasks()
        self._problems: dict[str, str] = {}
        self.sizes: dict[str, TrashSize] = {}

    def start(self) -> None:
        """Begin with the rounds."""
        self._tasks.start(self._repeat())

    async def close(self) -> None:
        """Stop, also in the middle of a round."""
        self._tasks.cancel()
        await self._tasks.settled()

    def problems(self) -> list[str]:
        """Return a line for each store whose trash could not be emptied in the last round."""
        return [f"the trash of store {name} cannot be emptied: {why}" for name, why in sorted(self._problems.items())]

    async def _repeat(self) -> None:
        pause = min(_LONGEST_PAUSE, max(1.0, self._keep / _PAUSES_PER_KEEP))
        # Daemons that are started together need not list the same directories at the same time.
        await deferLater(self._clock, random.uniform(0, min(pause, 60.0)))  # noqa: S311 - no secret
        while True:
            await self.empty()
            await deferLater(self._clock, pause)

    async def empty(self) -> None:
        """Do one round."""
        for name, store in self._stores.items():
            await self._empty(name, store)

    async def _empty(self, name: str, store: IAssetStore) -> None:
        found = _Round()
        try:
            for directory in await directories_in(store, self._collections):
                if self._collections.place_in(directory).store is store:
                    await self._empty_collection(store, directory, found)
        except CancelledError:
            raise
        except AssetError as error:
            found.failures += 1
            found.problem = found.problem or str(error)
        except Exception:
            self._log.failure("The trash of store {name} could not be emptied", name=name)
            found.problem = "internal error"
        self._tell(name, found)

    async def _empty_collection(self, store: IAssetStore, directory: str, found: _Round) -> None:
        """Remove what is due in the trash of a collection, after listing it: some servers list badly meanwhile."""
        moment = time.time() - self._keep
        due: list[AssetKey] = []
        async with aclosing(store.list(directory, Kind.TRASH)) as keys:
            async for key in keys:
                file, record = TrashId.of_file(key), TrashId.of_record(key)
                if file:
                    found.size += TrashSize(1, file.size)
                elif record and record.at < moment and len(due) < _MOST_AT_ONCE:
                    due.append(key)
        failures = 0
        for key in due:
            try:
                trashed = await self._removal.remove_if_before(store, key, moment)
                failures = 0
            except AssetError as error:
                failures += 1
                found.failures += 1
                found.problem = found.problem or str(error)
                if failures == _MOST_FAILURES:
                    raise
            else:
                if trashed:
                    found.removed += 1
                    found.size += TrashSize(-1, -trashed.id.size)
            await deferLater(self._clock, _REMOVAL_SECONDS)

    def _tell(self, name: str, found: _Round) -> None:
        metrics = self._metrics
        self.sizes[name] = found.size
        metrics.trash_files.labels(name).set(found.size.files)
        metrics.trash_bytes.labels(name).set(found.size.bytes)
        metrics.trash_removed.labels(name).inc(found.removed)
        metrics.trash_errors.labels(name).inc(found.failures)
        if found.removed:
            self._log.info(
                "Store {name}: {number} files in the trash were removed for good", name=name, number=found.removed
            )
        if found.problem and name not in self._problems:
            self._log.error("Store {name}: the trash cannot be emptied: {why}", name=name, why=found.problem)
        self._problems.pop(name, None)
        if found.problem:
            self._problems[name] = found.problem
