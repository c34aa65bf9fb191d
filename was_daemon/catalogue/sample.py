"""Sample of the originals in a store, by which a catalogue is recognised that was lost and made anew."""

from collections.abc import Sequence
from contextlib import aclosing

from was_daemon.model.interfaces import IAssetStore, IUnlisted
from was_daemon.model.keys import AssetKey, Kind

_SIZE = 100


async def sample_of(store: IAssetStore, directories: Sequence[str]) -> list[AssetKey]:
    """Fire with the first originals in these collections of a store, a hundred at most; none if it cannot list them."""
    found: list[AssetKey] = []
    for directory in directories if not IUnlisted.providedBy(store) else ():
        async with aclosing(store.list(directory, Kind.ORIGINAL)) as keys:
            async for key in keys:
                found.append(key)
                if len(found) == _SIZE:
                    return found
    return found


def is_lost(unrecorded: Sequence[AssetKey], sample: Sequence[AssetKey]) -> bool:
    """Return whether a catalogue lacks most of a sample: it was lost, is an old one, or was never filled."""
    return 2 * len(unrecorded) > len(sample)
