"""Removal of versions from the trash, for good.

Only files are removed whose names are those of the trash, and that have a record which says the same. Of several
daemons that remove one version, the second finds it gone.
"""

from contextlib import suppress

import attrs

from was_daemon.library.quotas.quotas import Quotas
from was_daemon.library.trash.contents import read_record
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.model.trash import TrashedVersion, TrashId


@attrs.frozen
class TrashRemoval:
    """Removal of versions; `quotas` are told what no longer counts."""

    quotas: Quotas

    async def remove_if_before(self, store: IAssetStore, record: AssetKey, moment: float) -> TrashedVersion | None:
        """Remove the version with this record if it came into the trash before `moment`, in Unix seconds.

        Fires with it, or with None if it stays or is gone already.
        """
        found = TrashId.of_record(record)
        if found is None or found.at >= moment:
            return None
        trashed = await read_record(store, record)
        if trashed:
            await self.remove(store, trashed)
        return trashed

    async def remove(self, store: IAssetStore, trashed: TrashedVersion) -> None:
        """Remove a version, and then its record."""
        # The file may be gone: another daemon was killed between the two, or the change was before it came here.
        with suppress(AssetNotFound):
            async with self.quotas.emptying(store, trashed):
                await store.delete(trashed.file)
        with suppress(AssetNotFound):
            await store.delete(trashed.record)
