"""Settling of changes whose end was not recorded."""

from collections.abc import Mapping, Sequence

from twisted.logger import Logger

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.journal import Journal, Unsettled
from was_daemon.catalogue.outcomes import outcome
from was_daemon.catalogue.records import overtaken, record
from was_daemon.catalogue.transfer import BATCH, Transfer
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import AssetStat, IAssetStore


class Settling:
    """Finds out what has come of changes in `journal`, and has `transfer` record it in `database`."""

    _log = Logger()

    def __init__(self, database: CatalogueDatabase, journal: Journal, transfer: Transfer) -> None:
        self._database = database
        self._journal = journal
        self._transfer = transfer
        self._unknown: set[int] = set()
        """Numbers of changes of which it is known, and logged, that nobody knows at present what came of them."""

    async def failed(self, change: Unsettled, store: IAssetStore, previous: AssetStat | None) -> None:
        """Settle a change that has failed, which found the version `previous`.

        If that is not possible now, it is done after the end of this process.
        """
        try:
            await self._journal.fail(change.number)
        except AssetError as error:
            self._log.error("The catalogue is not complete: {error}", error=error)
        await self._settle(change, store, previous)

    async def interrupted(self, stores: Mapping[str, IAssetStore]) -> None:
        """Settle the changes of daemons and commands that were killed; raises `StoreUnavailable`."""
        if not await self._journal.interrupted():
            return
        # What the database has decides, so it has to be up to date.
        await self._transfer.move_all()
        changes = [each for each in await self._journal.interrupted() if each.event.store in stores]
        last = []
        for start in range(0, len(changes), BATCH):
            last += await self._settle_overtaken(changes[start : start + BATCH])
        for change in last:
            await self._settle(change, stores[change.event.store], None)

    async def _settle_overtaken(self, changes: Sequence[Unsettled]) -> list[Unsettled]:
        """Record those changes after which others have begun, unless they have failed; fire with the rest."""
        by_others = await self._database.read(overtaken, [each.event for each in changes if not each.is_overtaken])
        before = [each for each in changes if each.is_overtaken or each.event.source in by_others]
        await self._database.run(record, [each.event for each in before if not each.has_failed])
        settled = {each.number for each in before}
        await self._journal.end(sorted(settled))
        return [each for each in changes if each.number not in settled]

    async def _is_overtaken(self, change: Unsettled) -> bool:
        if await self._journal.is_overtaken(change):
            return True
        return bool(await self._database.read(overtaken, [change.event]))

    async def _settle(self, change: Unsettled, store: IAssetStore, previous: AssetStat | None) -> None:
        try:
            event = await outcome(self._database, change.event, store, previous)
            if event is not change.event and await self._is_overtaken(change):
                # What the store has, or has no more, is what came of the later one.
                event = None if change.has_failed else change.event
            if event:
                self._transfer.complete(change.number, event)
            else:
                await self._journal.end([change.number])
        except AssetError as error:
            if change.number not in self._unknown:
                self._log.error("It is not known what has become of {key}: {error}", key=change.event.key, error=error)
            self._unknown.add(change.number)
