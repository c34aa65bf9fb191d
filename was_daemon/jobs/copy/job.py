"""Copy of the originals and thumbnails of collections, each with a line or a count in a report."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager

import attrs

from was_daemon.jobs.copy.copier import Copier, CopyFailed, CopyOutcome
from was_daemon.jobs.copy.thumbnails import CurrentThumbnails
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import list_assets
from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import register
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import ILocalFiles, IUnfinished
from was_daemon.model.keys import AssetKey, Kind, Layout
from was_daemon.stores.layers.named import Names, named


@attrs.frozen
class CopyJob:
    """Copy of the assets in `directories` by a `Copier`.

    Originals are to be copied before thumbnails, so that no thumbnail looks older than its original. With `names`,
    these originals are copied, rather than those that the source lists.
    """

    copier: Copier
    directories: Sequence[str]
    report: JobReport
    names: Names | None = None
    _current: CurrentThumbnails = attrs.field(
        init=False, default=attrs.Factory(lambda self: CurrentThumbnails(self.copier, self.directories), True)
    )

    async def prepare_target(self, spool: Spool) -> None:
        """Check that the target can be written to, and remove unfinished uploads of killed processes from it."""
        target = self.copier.target
        await register(target, spool)
        await target.check()
        if ILocalFiles.providedBy(target):
            await ILocalFiles(target).clean(self.directories)
        if IUnfinished.providedBy(target):
            await IUnfinished(target).clean()

    def originals(self) -> AsyncGenerator[AssetKey, None]:
        """Yield the originals to copy."""
        source = self.copier.source
        if self.names:
            source = named(source, self.names, lambda name, reason: self.report.describe("failed", name, reason))
        return list_assets(source, self.directories, Kind.ORIGINAL)

    def thumbnails(self) -> AsyncGenerator[AssetKey, None]:
        """Yield the thumbnails that may be worth a copy."""
        return list_assets(self.copier.source, self.directories, Kind.THUMBNAIL)

    async def copy_original(self, key: AssetKey) -> None:
        """Copy one original, and report the outcome."""
        with self._reported_failure(key):
            outcome = await self.copier.copy(key)
            if outcome is CopyOutcome.GONE and self.names:
                self.report.describe("missing", Layout.FLAT.path(key), "")
            else:
                self._report(key, outcome)

    async def copy_thumbnail(self, key: AssetKey) -> None:
        """Copy one thumbnail if it shows the current version of its original, and report the outcome."""
        with self._reported_failure(key):
            original = await self._current.original_of(key)
            if original:
                self._report(key, await self.copier.copy(key, original))
            else:
                self.report.count("skipped")

    @contextmanager
    def _reported_failure(self, key: AssetKey) -> Iterator[None]:
        try:
            yield
        except (AssetError, CopyFailed) as error:
            self.report.describe("failed", Layout.FLAT.path(key), str(error))

    def _report(self, key: AssetKey, outcome: CopyOutcome) -> None:
        if outcome in (CopyOutcome.DIFFERS, CopyOutcome.REPLACED):
            self.report.describe(outcome.value, Layout.FLAT.path(key), "")
        else:
            self.report.count(outcome.value)
