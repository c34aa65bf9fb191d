"""Verification of stored originals against the checksums in the catalogue."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.fixity import Fault, Outcome, Record
from was_daemon.jobs.examine import examine, record_as_it_is
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import list_assets
from was_daemon.model.digests import Digest, Pace
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind, Layout

_BATCH = 500
"""Number of originals that the catalogue is asked about, or told of, at a time."""


_FAILED = "failed"


@attrs.frozen
class Verifier:
    """Comparison of the originals in the store called `name` with their recorded sizes and checksums.

    `pace` limits how fast originals are read of which nothing is recorded.
    """

    name: str
    store: IAssetStore
    catalogue: Catalogue
    report: JobReport
    pace: Pace | None = None
    _outcomes: list[Outcome] = attrs.field(init=False, factory=list)

    async def recorded(self, directories: Sequence[str]) -> AsyncGenerator[tuple[AssetKey, Digest], None]:
        """Yield what is recorded of the originals in these collections."""
        for directory in directories:
            async with aclosing(self.catalogue.each(self.name, directory)) as records:
                async for each in records:
                    yield each

    async def unrecorded(self, directories: Sequence[str]) -> AsyncGenerator[AssetKey, None]:
        """Yield the keys of the stored originals in these collections of which nothing is recorded."""
        batch: list[AssetKey] = []
        async with aclosing(list_assets(self.store, directories, Kind.ORIGINAL)) as keys:
            async for key in keys:
                batch.append(key)
                if len(batch) == _BATCH:
                    for each in await self.catalogue.unrecorded(self.name, batch):
                        yield each
                    batch = []
        for each in await self.catalogue.unrecorded(self.name, batch):
            yield each

    async def compare(self, record: tuple[AssetKey, Digest]) -> None:
        """Read one original, report whether it is as recorded, and keep that for `note`."""
        key, wanted = record
        finding = await examine(self.store, Record(self.name, key, wanted, 0.0), self.catalogue.fixity)
        if finding is None:
            # The daemon has replaced or deleted the original meanwhile.
            self.report.count("ok")
        elif finding.fault is Fault.UNREADABLE:
            # The store may be down, which is no fault of the original.
            self.report.describe(_FAILED, Layout.FLAT.path(key), finding.detail)
        elif finding.fault:
            self.report.describe(finding.fault.value, Layout.FLAT.path(key), finding.detail)
            self._outcomes.append(finding.outcome)
        else:
            self.report.count("ok")
            self._outcomes.append(finding.outcome)
        if len(self._outcomes) >= _BATCH:
            await self.note()

    async def note(self) -> None:
        """Note in the catalogue what was found, so that it counts as a check of fixity."""
        outcomes = self._outcomes[:]
        self._outcomes.clear()
        await self.catalogue.fixity.note(outcomes)

    async def count(self, key: AssetKey) -> None:
        """Count an original as not recorded."""
        self.report.count("unrecorded")

    async def record(self, key: AssetKey) -> None:
        """Read an original, and record its size and checksums."""
        try:
            await record_as_it_is(self.catalogue, self.name, self.store, key, self.pace)
        except AssetError as error:
            self.report.describe(_FAILED, Layout.FLAT.path(key), str(error))
            return
        self.report.count("recorded")
