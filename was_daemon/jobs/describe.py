"""Description of originals in the background of a daemon, as soon as they are in the catalogue."""

import random
import time
from collections.abc import Mapping

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.describing import Undescribed, describe, undescribed
from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.jobs.facts import FactsReader
from was_daemon.library.collections import Original, Place
from was_daemon.library.spool import Spool
from was_daemon.model.errors import AssetError, AssetNotFound, Interrupted, NoSpace, Overloaded
from was_daemon.model.facts import NO_FACTS, Facts
from was_daemon.model.interfaces import IAssetStore

_LOOKED_AT = 200
_BATCH = 10
"""Originals that are described before this is entered in the database, a random choice of those looked at: other
daemons with the same database choose others."""

_MOST_INTERRUPTED = 1000

_REST_SECONDS = 60.0
"""Seconds for which a store is left alone that could not be read, and everything when there is no room or no worker."""

_BUSY_SECONDS = 5.0
"""Seconds after a change of an original in which more of them are expected."""

_BUSY_FACTOR = 19
_MAX_PAUSE_SECONDS = 5.0
"""Pause after each original while clients change some, in multiples of the time that it took: 1/20 of a processor."""


class Describer:
    """Describes the originals in a catalogue that nobody has described, one after the other.

    Others wait for neither workers nor processors because of it: its jobs come after those of requests, and while
    clients store originals it works for a twentieth of the time. What could not be described for lack of a store, of
    room or of workers is tried again; a file that breaks workers counts as described. What others have recorded is
    looked for every `poll_seconds`.
    """

    _log = Logger()

    def __init__(
        self,
        catalogue: Catalogue,
        stores: Mapping[str, IAssetStore],
        spool: Spool,
        reader: FactsReader,
        poll_seconds: float,
    ) -> None:
        from twisted.internet import reactor

        self._clock = IReactorTime(reactor)
        self._catalogue = catalogue
        self._stores = stores
        self._spool = spool
        self._reader = reader
        self._poll_seconds = poll_seconds
        self._resting: dict[str, float] = {}
        self._interrupted: set[Undescribed] = set()
        self._tasks = BackgroundTasks()
        self._is_down = False

    def start(self) -> None:
        """Begin to describe originals, until `stop`."""
        self._tasks.start(self._run())

    def stop(self) -> None:
        """End after the job that a worker has begun, without waiting for it."""
        self._tasks.cancel()

    async def _run(self) -> None:
        while True:
            moves = self._catalogue.moves
            if not await self._try_some() and moves == self._catalogue.moves:
                await self._catalogue.next_move().addTimeout(self._poll_seconds, self._clock, lambda *_: None)

    async def _try_some(self) -> bool:
        """Describe some originals; fire with whether there may be more."""
        try:
            found = await self.describe_some()
            self._is_down = False
        except AssetError as error:
            if not self._is_down:
                self._log.info("Originals are not described at the moment: {error}", error=error)
            self._is_down = True
            return False
        except CancelledError:
            raise
        except Exception:
            self._log.failure("Originals could not be described")
            return False
        return found

    async def describe_some(self) -> bool:
        """Describe some originals; fire with whether there were any.

        Raises `StoreUnavailable` when the database cannot be used.
        """
        rows = await self._catalogue.read(undescribed, self._usable_stores(), _LOOKED_AT)
        described: list[tuple[Undescribed, Facts]] = []
        for row in random.sample(rows, min(_BATCH, len(rows))):
            if row.store not in self._usable_stores():
                continue
            began = time.monotonic()
            facts = await self._facts(row)
            if facts is not None:
                described.append((row, facts))
            await self._pause(time.monotonic() - began)
        if described:
            await self._catalogue.run(describe, described)
        return bool(described)

    def _usable_stores(self) -> list[str]:
        now = self._clock.seconds()
        return [name for name in self._stores if self._resting.get(name, now) <= now]

    async def _pause(self, seconds: float) -> None:
        """Leave the processors to others, after work of that many seconds."""
        is_busy = self._catalogue.quiet_seconds < _BUSY_SECONDS
        await deferLater(self._clock, min(_BUSY_FACTOR * seconds, _MAX_PAUSE_SECONDS) if is_busy else 0)

    async def _facts(self, row: Undescribed) -> Facts | None:
        """Fire with the facts about an original; None if it cannot be read at the moment."""
        store = self._stores[row.store]
        place = Place(row.key.collection, store, store, row.store)
        try:
            original = Original(place, row.key, await store.stat(row.key))
            with await self._spool.open(original) as source:
                return await self._reader.read(source, row.key.name)
        except AssetNotFound:
            # It will be described when it is there again, and recorded anew.
            return NO_FACTS
        except Interrupted:
            return self._after_interruption(row)
        except (Overloaded, NoSpace):
            self._resting |= dict.fromkeys(self._stores, self._clock.seconds() + _REST_SECONDS)
        except AssetError as error:
            self._log.info("{key} cannot be described at the moment: {error}", key=row.key, error=error)
            self._resting[row.store] = self._clock.seconds() + _REST_SECONDS
        return None

    def _after_interruption(self, row: Undescribed) -> Facts | None:
        """Return None after the first; whoever kills workers twice does so because of the file, as for its memory."""
        if row in self._interrupted or len(self._interrupted) >= _MOST_INTERRUPTED:
            self._interrupted.discard(row)
            return NO_FACTS
        self._interrupted.add(row)
        return None
