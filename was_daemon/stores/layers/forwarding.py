"""Writing to a store that is made of others: one of them, the primary, takes what is written."""

from collections.abc import Sequence

from zope.interface import alsoProvides

from was_daemon.model.interfaces import AssetStat, IAssetStore, ICreates, IMoves, IQuirks, IStages, IStagingFile
from was_daemon.model.keys import AssetKey

_FORWARDED = (IStages, ICreates, IMoves, IQuirks)


class ForwardingStore:
    """Base of stores that provide the interfaces of their primary that are about writing.

    The further methods are called only if `primary` provides their interface. `ILocalFiles` is not among these: an
    asset may be in another part than the primary.
    """

    def __init__(self, primary: IAssetStore) -> None:
        self.primary = primary
        alsoProvides(self, *(each for each in _FORWARDED if each.providedBy(primary)))

    async def stage(self, near: AssetKey | None) -> IStagingFile:
        """See `IStages`."""
        return await IStages(self.primary).stage(near)

    async def adopt(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `IStages`."""
        return await IStages(self.primary).adopt(staged, key)

    async def create(self, staged: IStagingFile, key: AssetKey) -> AssetStat:
        """See `ICreates`."""
        return await ICreates(self.primary).create(staged, key)

    async def move(self, source: AssetKey, target: AssetKey, replace: bool = False) -> None:
        """See `IMoves`."""
        await IMoves(self.primary).move(source, target, replace)

    async def copy(self, source: AssetKey, target: AssetKey) -> None:
        """See `IMoves`."""
        await IMoves(self.primary).copy(source, target)

    async def quirks(self) -> Sequence[str]:
        """See `IQuirks`."""
        return await IQuirks(self.primary).quirks()
