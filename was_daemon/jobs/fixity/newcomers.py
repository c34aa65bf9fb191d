"""Recording of originals of which nothing is recorded, such as files that were copied into a store."""

from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing

from twisted.logger import Logger

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import directories_in
from was_daemon.jobs.verify import Verifier
from was_daemon.library.collections import Collections
from was_daemon.model.digests import Pace
from was_daemon.model.durations import counted
from was_daemon.model.errors import AssetError, UnknownCollection
from was_daemon.model.interfaces import IAssetStore
from was_daemon.telemetry.metrics import Metrics

_DAY_SECONDS = 86_400.0

_log = Logger()


class Newcomers:
    """Originals in `stores` that are not in the catalogue; `pace` limits how fast they are read."""

    def __init__(
        self,
        catalogue: Catalogue,
        stores: Mapping[str, IAssetStore],
        collections: Collections,
        metrics: Metrics,
        pace: Pace,
    ) -> None:
        self._catalogue = catalogue
        self._stores = stores
        self._collections = collections
        self._recorded = metrics.fixity_checks.labels("recorded")
        self._pace = pace

    async def record(self, every: float) -> float:
        """Record them as they are; fire with the seconds until that is to be done again, `every` or a day."""
        report = _Counts()
        for name, store in self._stores.items():
            verifier = Verifier(name, store, self._catalogue, report, self._pace)
            try:
                async with aclosing(verifier.unrecorded(await self._directories(name, store))) as keys:
                    async for key in keys:
                        await verifier.record(key)
            except AssetError as error:
                _log.warn("Fixity: the store {name} was not listed to its end: {error}", name=name, error=error)
        self._recorded.inc(report.counts["recorded"])
        tell_recorded(report.counts["recorded"])
        if failed := report.counts["failed"]:
            _log.warn("Fixity: {originals} without a record cannot be read", originals=counted(failed, "original"))
        return min(_DAY_SECONDS, every)

    async def _directories(self, name: str, store: IAssetStore) -> list[str]:
        """Fire with the directories of the collections whose originals are in a store."""
        found = await directories_in(store, self._collections)
        known = await self._catalogue.fixity.collections(name)
        return [directory for directory in dict.fromkeys([*found, *known]) if self._holds(name, directory)]

    def _holds(self, name: str, directory: str) -> bool:
        try:
            return self._collections.place_in(directory).name == name
        except UnknownCollection:
            return False


def tell_recorded(number: int) -> None:
    """Log that so many originals are recorded as they are, which may be damaged already."""
    if number:
        _log.warn(
            "Fixity: {originals} had no record, and got one of the content that is there now; whether that is what "
            "once came, nobody can tell",
            originals=counted(number, "original"),
        )


class _Counts(JobReport):
    """Counts of the states of files."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, state: str, number: int = 1) -> None:
        self.counts[state] += number

    def describe(self, state: str, path: str, reason: str) -> None:
        self.count(state)
