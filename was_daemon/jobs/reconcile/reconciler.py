"""Comparison of stores with Specify's records, from the collection of names to the report."""

from collections.abc import AsyncGenerator, Collection
from typing import Protocol

import attrs

from was_daemon.jobs.reconcile.findings import Finding, Findings, Orphan
from was_daemon.jobs.traverse import for_each
from was_daemon.library.collections import Place
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Layout
from was_daemon.model.lookup import find_stat

_PARALLEL = 16
"""Number of originals that a store is asked about at a time."""


class FindingReport(Protocol):
    """Report of a comparison."""

    def find(self, finding: Finding) -> None:
        """Report a finding."""


@attrs.frozen
class Reconciler:
    """Comparison of what was collected.

    `sources` are the names of the databases that are compared; the places with the indexes `covered` are those whose
    attachments they have. Originals that have been changed at the Unix time `before` or later are no orphans yet.
    """

    findings: Findings
    sources: Collection[str]
    covered: Collection[int]
    before: float
    report: FindingReport

    async def run(self) -> None:
        """Report all findings."""
        await for_each(self.findings.missing(self.sources), _PARALLEL, self._report_missing)
        await self._report_all(self.findings.locations(self.sources))
        await for_each(self.old_orphans(), _PARALLEL, self._report_orphan)
        await self._report_all(self.findings.derivatives())
        await self._report_all(self.findings.oddities())

    async def old_orphans(self) -> AsyncGenerator[Orphan, None]:
        """Yield the orphans that may be old enough: of some only the store knows."""
        async for orphan in self.findings.orphans(self.covered):
            is_young = orphan.modified is not None and orphan.modified >= self.before
            if not is_young and orphan.removed < self.before:
                yield orphan

    async def _report_missing(self, missing: tuple[Place, AssetKey, Finding]) -> None:
        place, key, finding = missing
        # Somebody may have stored it since the names were collected.
        if not await find_stat(place.store, key):
            self.report.find(finding)

    async def _report_orphan(self, orphan: Orphan) -> None:
        stat = await find_stat(orphan.place.store, orphan.key)
        if stat and is_old(stat, self.before):
            detail = "" if stat.modified else "of unknown age"
            self.report.find(Finding("orphaned", orphan.place.name, Layout.FLAT.path(orphan.key), detail=detail))

    async def _report_all(self, findings: AsyncGenerator[Finding, None]) -> None:
        async for finding in findings:
            self.report.find(finding)


def is_old(stat: AssetStat, before: float) -> bool:
    """Return whether an original was changed before the Unix time `before`, or nobody knows when."""
    return stat.modified < before
